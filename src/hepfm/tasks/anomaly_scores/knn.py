"""Mean distance to the nearest rows of the bank."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt

from hepfm.core.config import Config as BaseConfig
from hepfm.metrics.predictions import FloatArray
from hepfm.tasks.anomaly_scores.base import AnomalyScore, check_bank


class NeighbourDistanceConfig(BaseConfig):
    """Options of `NeighbourDistance`.

    Attributes
    ----------
    neighbours
        How many of the nearest rows count; 30 in jBOT's public code (2601.11719).
    """

    neighbours: PositiveInt = 30


class NeighbourDistance(AnomalyScore):
    """Mean Euclidean distance to the nearest rows of the bank."""

    Config: ClassVar[type[BaseConfig]] = NeighbourDistanceConfig
    config: NeighbourDistanceConfig

    def fit(self, bank_RD: FloatArray) -> None:
        """Keep the bank."""
        from sklearn.neighbors import NearestNeighbors  # two seconds to import

        check_bank(bank_RD, self.config.neighbours, "neighbours")
        self.search = NearestNeighbors(n_neighbors=self.config.neighbours, algorithm="brute").fit(bank_RD)

    def __call__(self, x_RD: FloatArray) -> FloatArray:
        """Return the mean distance of each row, shape (R,)."""
        distance: FloatArray = self.search.kneighbors(x_RD)[0].mean(axis=1)
        return distance
