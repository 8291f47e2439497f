"""Calibration of a distribution that is known by draws: how often its central intervals hold the truth.

Quantiles of S draws are taken at the places ``p (S + 1)``: were truth and draws of one distribution, the
truth would have each of the S + 1 ranks among them equally often, so that the interval between two such
quantiles holds it with the probability that it is named after. Other conventions give shorter intervals.
"""

from __future__ import annotations

import math

import numpy as np

from hepfm.core.ragged import Array
from hepfm.metrics.bootstrap import ONE_SIGMA
from hepfm.metrics.predictions import FloatArray

COVERED = {68: ONE_SIGMA, 95: 0.95}
"""Probability of the central intervals, by how they are called."""


def least_draws(nominal: float) -> int:
    """Return the fewest draws that have an interval of this probability.

    >>> least_draws(0.95)
    39
    """
    return math.ceil(2 / (1 - nominal) - 1e-9) - 1


def _ends(draws: Array, nominal: float) -> Array:
    tail = (1 - nominal) / 2
    return np.quantile(draws, [tail, 1 - tail], axis=-1, method="weibull")


def covered(draws: Array, truth: Array, nominal: float) -> FloatArray:
    """Return 1 where the central interval of draws (..., S) holds the truth (...), else 0; NaN without."""
    low, high = _ends(draws, nominal)
    inside = (low <= truth) & (truth <= high)
    return np.where(np.isfinite(truth), inside.astype(np.float64), np.nan)


def half_widths(draws: Array, nominal: float) -> FloatArray:
    """Return half the widths of the central intervals of draws (..., S)."""
    low, high = _ends(draws, nominal)
    widths: FloatArray = (high - low) / 2
    return widths


def coverage(inside: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the fraction of intervals that hold the truth, by weight.

    >>> coverage(np.array([1.0, 0.0, 1.0, 1.0]))
    0.75
    """
    return float(np.average(inside, weights=weights))


def miscoverage(inside: FloatArray, weights: FloatArray | None = None, *, nominal: float) -> float:
    """Return the distance of `coverage` from the probability of the intervals."""
    return abs(coverage(inside, weights) - nominal)
