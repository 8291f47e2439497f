"""FeatureRegression target: the standardised features of a hidden constituent."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.data.feature_names import KINEMATICS
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import (
    ContinuousTarget,
    FeatureNames,
    Hidden,
    Shown,
    mean_over_existing,
)


class FeatureRegressionConfig(Config):
    """Options of `FeatureRegression`.

    Attributes
    ----------
    features
        The features to predict.
    """

    # As in 2606.14870: types and impact parameters are seen, and not asked for.
    features: FeatureNames = KINEMATICS


class FeatureRegression(ContinuousTarget):
    """Mean absolute error of the standardised features (2409.12589; all of 2606.14870's results)."""

    Config: ClassVar[type[Config]] = FeatureRegressionConfig

    def __init__(self, config: FeatureRegressionConfig, network: Network, *, width: int) -> None:
        super().__init__(config.features, network)
        self.linear = nn.Linear(width, len(self.columns))

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the mean absolute error over the features that each constituent has, (B, M)."""
        x_BMK, exists_BMK = self.wanted(hidden)
        return mean_over_existing((self.linear(shown.vectors).float() - x_BMK).abs(), exists_BMK)
