"""FeatureRegression target: the standardised features of a removed constituent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.data.feature_names import KINEMATICS
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import MaskedTarget, Removed, columns

Features = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


class FeatureRegressionConfig(Config):
    """Options of `FeatureRegression`.

    Attributes
    ----------
    features
        The features to predict.
    """

    # As in 2606.14870: types and impact parameters are seen, and not asked for.
    features: Features = KINEMATICS


class FeatureRegression(MaskedTarget):
    """Mean absolute error of the standardised features (2409.12589; all of 2606.14870's results)."""

    Config: ClassVar[type[Config]] = FeatureRegressionConfig

    def __init__(self, config: FeatureRegressionConfig, network: Network, *, width: int) -> None:
        super().__init__()
        self.columns = columns(config.features, network.feature_names)
        self.linear = nn.Linear(width, len(self.columns))

    def loss(self, h_BMW: Tensor, removed: Removed, batch: Batch, draws: Draws) -> Tensor:
        """Return the mean absolute error over the features, (B, M)."""
        predicted_BMK = self.linear(h_BMW).float()
        return (predicted_BMK - removed.x_BMF[..., self.columns]).abs().mean(-1)
