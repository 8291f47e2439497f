"""Distance from the mean of the bank in units of its covariance."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.metrics.predictions import FloatArray
from hepfm.tasks.anomaly_scores.base import AnomalyScore, check_bank


class MahalanobisConfig(BaseConfig):
    """Options of `Mahalanobis`.

    Attributes
    ----------
    shrinkage
        Part of the covariance that is replaced by a multiple of the unit matrix, from 0 to 1; None takes
        the estimate of Ledoit and Wolf (J. Multivar. Anal. 88 (2004) 365).
    """

    shrinkage: Annotated[float, pydantic.Field(ge=0.0, le=1.0)] | None = None


class Mahalanobis(AnomalyScore):
    """Mahalanobis distance from one mean: the bank has no classes."""

    Config: ClassVar[type[BaseConfig]] = MahalanobisConfig
    config: MahalanobisConfig

    def fit(self, bank_RD: FloatArray) -> None:
        """Measure mean and covariance."""
        from sklearn.covariance import LedoitWolf, ShrunkCovariance  # two seconds to import

        check_bank(bank_RD, 2, "rows")
        shrinkage = self.config.shrinkage
        estimate = LedoitWolf() if shrinkage is None else ShrunkCovariance(shrinkage=shrinkage)
        self.estimate = estimate.fit(bank_RD)

    def __call__(self, x_RD: FloatArray) -> FloatArray:
        """Return the distance of each row, shape (R,)."""
        squared: FloatArray = self.estimate.mahalanobis(x_RD)
        return squared.clip(min=0.0) ** 0.5
