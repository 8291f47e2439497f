"""Regression target: the standardised features of a removed constituent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from torch import Tensor

from hepfm.core.config import Config
from hepfm.objectives.masked_targets.base import KINEMATICS, MaskedTarget, columns

Features = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


class RegressionConfig(Config):
    """Options of `Regression`.

    Attributes
    ----------
    features
        The features to predict.
    """

    features: Features = KINEMATICS


class Regression(MaskedTarget):
    """Mean absolute error of the standardised features (2409.12589; all of 2606.14870's results)."""

    Config: ClassVar[type[Config]] = RegressionConfig

    def __init__(
        self, config: RegressionConfig, *, feature_names: tuple[str, ...], num_codes: int | None = None
    ) -> None:
        super().__init__()
        self.columns = columns(config.features, feature_names)
        self.num_outputs = len(self.columns)

    def loss(self, output_BMK: Tensor, x_BMF: Tensor, codes_BM: Tensor | None = None) -> Tensor:
        """Return the mean absolute error over the features, (B, M)."""
        return (output_BMK.float() - x_BMF[..., self.columns]).abs().mean(-1)
