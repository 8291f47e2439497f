"""Contrastive training: rows that belong together are found among all others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import pydantic
from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import DataError
from hepfm.networks.network import Network
from hepfm.objectives.base import Output, View
from hepfm.objectives.joint_embedding import JointEmbedding, PairConfig
from hepfm.objectives.loss import Loss
from hepfm.objectives.similarity import contrast, nearest_is_positive
from hepfm.objectives.together import StepRows, Together


class ContrastiveConfig(PairConfig):
    """Options of `Contrastive`.

    Attributes
    ----------
    temperature
        What similarities are divided by; 0.1 in RS3L (2403.07066) and JetCLR (2108.04253).
    """

    temperature: float = pydantic.Field(0.1, gt=0)


class Contrastive(JointEmbedding[ContrastiveConfig]):
    """NT-Xent (SimCLR, 2002.05709) between simulations of one event (RS3L, 2403.07066) or views of a row.

    Where more than two rows belong together, the mean over all others of them stands in for the one other. A
    row without another counts as a negative of the others alone; one of weight 0 takes no part, and a
    negative counts by its weight. The loss of chance, ln of the number of other vectors, grows with the step,
    and in validation with `train.validation_rows`.

    Terms of the loss: ``nt_xent``; beside it ``nearest``, the share of vectors whose most similar vector is
    one that belongs to them.
    """

    Config: ClassVar[type[BaseConfig]] = ContrastiveConfig

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows."""
        return {"nt_xent": self.row_weights(views)}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return NT-Xent over all rows of the step."""
        rows, count = self.rows(outputs)
        statistic = partial(_nt_xent, temperature=self.config.temperature)
        return Loss(
            {
                "nt_xent": Together(rows, count, statistic),
                "nearest": Together(rows.detached(), count, nearest_is_positive, weight=0.0),
            }
        )


def _nt_xent(rows: StepRows, *, temperature: float) -> Tensor:
    if len(rows) and len(rows.identity_V.unique()) < 2:  # type: ignore[no-untyped-call]
        raise DataError(
            f"objective 'contrastive': all {len(rows)} vectors of a step belong together, so there is none "
            "to tell them from; raise train.batch_size (in validation train.validation_rows)"
        )
    return contrast(rows, temperature=temperature)
