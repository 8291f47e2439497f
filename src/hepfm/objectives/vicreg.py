"""VICReg: rows that belong together agree, and the numbers of their vectors vary, each for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pydantic
from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.networks.network import Network
from hepfm.objectives.base import Output, View
from hepfm.objectives.joint_embedding import JointEmbedding, PairConfig
from hepfm.objectives.loss import Loss
from hepfm.objectives.together import Together
from hepfm.objectives.variance import covariance, invariance, variance


class VICRegConfig(PairConfig):
    """Options of `VICReg`.

    Attributes
    ----------
    invariance_weight, variance_weight, covariance_weight
        Factors of the three terms; 25, 25 and 1 in 2105.04906.
    """

    invariance_weight: float = pydantic.Field(25.0, gt=0)
    variance_weight: float = pydantic.Field(25.0, gt=0)
    covariance_weight: float = pydantic.Field(1.0, gt=0)


class VICReg(JointEmbedding[VICRegConfig]):
    """Joint embedding without negatives (2105.04906): three terms keep the vectors from collapsing.

    The vectors are not brought to unit length: then the standard deviation of each of E numbers would be
    about 1 / sqrt(E), and could never reach the 1 that is asked for. With ``positives=members`` variance and
    covariance are those of all rows of the step; with ``views`` those of each view.

    Terms of the loss: ``invariance``, ``variance`` and ``covariance``.
    """

    Config: ClassVar[type[BaseConfig]] = VICRegConfig

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows."""
        return dict.fromkeys(("invariance", "variance", "covariance"), self.row_weights(views))

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the three terms over all rows of the step."""
        rows, count = self.rows(outputs)
        config = self.config
        return Loss(
            {
                "invariance": Together(rows, count, invariance, weight=config.invariance_weight),
                "variance": Together(rows, count, variance, weight=config.variance_weight),
                "covariance": Together(rows, count, covariance, weight=config.covariance_weight),
            }
        )
