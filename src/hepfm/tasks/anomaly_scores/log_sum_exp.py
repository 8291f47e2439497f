"""Log-sum-exp of the cosines with the nearest rows of the bank."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from hepfm.core.config import Config as BaseConfig
from hepfm.metrics.predictions import FloatArray
from hepfm.tasks.anomaly_scores.base import AnomalyScore, check_bank

SMALLEST = 1e-12
"""Least length that a vector is divided by: one of zeros stays one of zeros."""


class CosineLogSumExpConfig(BaseConfig):
    """Options of `CosineLogSumExp`; the defaults are those of jBOT's public code (2601.11719).

    Attributes
    ----------
    neighbours
        How many of the nearest rows count.
    temperature
        T of ``-T log mean exp(cosine / T)``: the smaller, the more the nearest row alone counts.
    """

    neighbours: PositiveInt = 100
    temperature: PositiveFloat = 0.02


class CosineLogSumExp(AnomalyScore):
    """``-T log mean exp(cosine / T)`` over the nearest rows of the bank."""

    Config: ClassVar[type[BaseConfig]] = CosineLogSumExpConfig
    config: CosineLogSumExpConfig

    def fit(self, bank_RD: FloatArray) -> None:
        """Keep the directions of the bank."""
        from sklearn.neighbors import NearestNeighbors  # two seconds to import

        check_bank(bank_RD, self.config.neighbours, "neighbours")
        self.search = NearestNeighbors(n_neighbors=self.config.neighbours, algorithm="brute")
        self.search.fit(directions(bank_RD))

    def __call__(self, x_RD: FloatArray) -> FloatArray:
        """Return the score of each row, shape (R,), between -1 and 1."""
        distance = self.search.kneighbors(directions(x_RD))[0]  # d^2 = 2 - 2 cosine
        exponent = (1 - distance**2 / 2) / self.config.temperature
        largest = exponent.max(axis=1)
        mean: FloatArray = np.log(np.exp(exponent - largest[:, None]).mean(axis=1))
        return -self.config.temperature * (largest + mean)


def directions(x_RD: FloatArray) -> FloatArray:
    """Return vectors of length 1."""
    length = np.linalg.norm(x_RD, axis=1, keepdims=True)
    return x_RD / np.maximum(length, SMALLEST)
