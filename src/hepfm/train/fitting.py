"""What is measured on the training rows before the first step, and kept in buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hepfm.data.features import FeatureSet
from hepfm.data.loader import EvalLoader
from hepfm.nn.standardize import Standardize
from hepfm.train.learner import Learner

Constants = Literal["measure", "replace", "keep"]

ROWS = 20_000
"""Most rows that are measured."""
_SMALLEST = 1e-3
"""Smallest spread that is scaled to one; a feature that hardly changes is left small."""


@dataclass(frozen=True)
class Fitting:
    """What is to be measured.

    Attributes
    ----------
    sample
        A seeded draw of the training rows.
    features
        The feature set; its fitted columns are measured.
    constants
        What is done with those of the network's standardisation: ``"measure"`` for new weights, ``"keep"``
        for loaded ones, ``"replace"`` for loaded weights that are made to give the same with new constants.
    """

    sample: EvalLoader
    features: FeatureSet
    constants: Constants

    def fit(self, learner: Learner) -> None:
        """Measure, set buffers of the network, then let the objective prepare itself."""
        network = learner.network
        fitted = [index for index, fit in enumerate(self.features.fitted) if fit]
        if self.constants != "keep" and fitted:
            moments = _moments(batch.features_BNF[batch.mask_BN] for batch in self.sample)
            self._set(network.standardize, moments, fitted, network.restandardize)
        conditioning = network.conditioning
        if self.constants != "keep" and conditioning is not None and conditioning.standardize is not None:
            rows = (batch.context_BC for batch in self.sample if batch.context_BC is not None)
            columns = list(range(network.num_context))
            self._set(conditioning.standardize, _moments(rows), columns, conditioning.restandardize)
        learner.prepare(self.sample)

    def _set(
        self,
        layer: Standardize,
        moments: tuple[Tensor, Tensor],
        columns: list[int],
        replace: Callable[[Tensor, Tensor], None],
    ) -> None:
        centre_F, scale_F = layer.centre_F.clone(), layer.scale_F.clone()
        mean, spread = moments
        centre_F[columns] = mean[columns].float()
        scale_F[columns] = 1 / spread[columns].clamp(min=_SMALLEST).float()
        if self.constants == "replace":
            replace(centre_F, scale_F)
            return
        layer.centre_F.copy_(centre_F)
        layer.scale_F.copy_(scale_F)


def _moments(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column over all parts, in double precision."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        values = part.double()
        count, total, squares = count + len(values), total + values.sum(0), squares + values.square().sum(0)
    mean = total / max(count, 1)
    return mean, (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt()
