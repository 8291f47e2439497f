"""What is measured on the training rows before the first step, and kept in buffers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.data.features import FeatureSet
from hepfm.data.loader import EvalLoader
from hepfm.nn.standardize import Standardize
from hepfm.objectives.base import Objective

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
    standardize
        Whether the network's standardisation is measured: not where it comes with loaded weights.
    """

    sample: EvalLoader
    features: FeatureSet
    standardize: bool

    def fit(self, objective: Objective) -> None:
        """Measure, and set buffers of the network and of the objective."""
        network = objective.network
        fitted = [index for index, fit in enumerate(self.features.fitted) if fit]
        if self.standardize and fitted:
            _set(
                network.standardize,
                _moments(batch.features_BNF[batch.mask_BN] for batch in self.sample),
                fitted,
            )
        conditioning = network.conditioning
        if self.standardize and conditioning is not None and conditioning.standardize is not None:
            rows = (batch.context_BC for batch in self.sample if batch.context_BC is not None)
            _set(conditioning.standardize, _moments(rows), list(range(network.num_context)))
        objective.fit(self.sample)


def _moments(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column over all parts, in double precision."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        values = part.double()
        count, total, squares = count + len(values), total + values.sum(0), squares + values.square().sum(0)
    mean = total / max(count, 1)
    return mean, (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt()


def _set(layer: Standardize, moments: tuple[Tensor, Tensor], columns: list[int]) -> None:
    mean, spread = moments
    layer.centre_F[columns] = mean[columns].float()
    layer.scale_F[columns] = 1 / spread[columns].clamp(min=_SMALLEST).float()
