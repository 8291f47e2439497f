"""The ratio of the densities of two weighted samples, by binary cross-entropy of rows that count in both.

Of all functions the cross-entropy of two samples of equal weight is lowest for ln of the ratio of their
densities. The two classes are weights and not a label: OmniFold's second step (1911.09107) has the same rows
in both samples, and each of them then takes one place in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data.targets import RATIO_SAMPLE
from hepfm.heads import HEADS
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements

_TERM = "cross_entropy"


class DensityRatioConfig(BaseConfig):
    """Options of `DensityRatio`.

    Attributes
    ----------
    numerator, denominator
        Fields of the rows with their weights in the two samples. Scaled to the same sum the ratio is that
        of densities which are normalised to 1. Negative weights subtract.
    head
        Component spec of the head; of its two outputs the difference counts.
    """

    numerator: str = "ratio_numerator"
    denominator: str = "ratio_denominator"
    head: Annotated[Component, ComponentOf(HEADS, default="classify")] = pydantic.Field(
        "classify", validate_default=True
    )


class DensityRatio(Objective[DensityRatioConfig]):
    """Learn ln of the ratio of two densities; a row has a weight in each of both samples.

    Terms of the loss: ``cross_entropy``, divided by the sum of the magnitudes of all weights, so that it is
    ln 2 where nothing tells the samples apart and none is negative; beside it ``accuracy``.
    """

    Config = DensityRatioConfig
    lets_through = "everything of the row, its context if the network has one; the two weights are not in it"

    @classmethod
    def requirements(cls, config: DensityRatioConfig, schema: Schema) -> Requirements:
        """Return a head with two outputs, and the fields of both weights."""
        names = (config.numerator, config.denominator)
        for name in names:
            try:
                schema.check_weight(name)
            except DataError as error:
                raise IncompatibleError(f"objective 'density_ratio': {error}") from None
        if config.numerator == config.denominator:
            raise IncompatibleError(
                f"objective 'density_ratio': {config.numerator!r} is numerator and denominator, whose ratio "
                "is 1; name two fields"
            )
        if config.head.cls.level != "row":
            raise IncompatibleError(
                f"objective 'density_ratio' learns a number of rows, and the head {config.head.name!r} has "
                f"an output for each {config.head.cls.level}; set head to classify"
            )
        return Requirements(
            labels=names,
            heads={RATIO_SAMPLE.name: HeadSpec(config.head, RATIO_SAMPLE)},
            head_rows={RATIO_SAMPLE.name: None},
            signed_weights=True,
            groups=frozenset({"shown", "read"}),
        )

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows in denominator and numerator, (B, 2)."""
        batch = views[CLEAN].batch
        pair = (batch.labels[self.config.denominator], batch.labels[self.config.numerator])
        return {_TERM: torch.stack(pair, dim=1) * row_weights(batch)[:, None]}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the mean cross-entropy over the rows of both samples, by their weights."""
        output = outputs[CLEAN]
        mask_BN = output.features.token_mask(output.view.batch.mask_BN)
        logit_B = log_ratio(network.heads[RATIO_SAMPLE.name](output.features, mask_BN))
        weights_B2 = self.weights({CLEAN: output.view})[_TERM]
        loss_B2 = F.softplus(torch.stack([logit_B, -logit_B], dim=1))
        correct_B2 = torch.stack([logit_B <= 0, logit_B > 0], dim=1).float()
        return Loss({_TERM: mean(loss_B2, weights_B2), "accuracy": logged(correct_B2, weights_B2)})


def log_ratio(said_B2: Tensor) -> Tensor:
    """Return ln of the ratio, (B,), from the outputs of a head of `RATIO_SAMPLE`."""
    denominator_B, numerator_B = said_B2.float().unbind(1)
    return numerator_B - denominator_B
