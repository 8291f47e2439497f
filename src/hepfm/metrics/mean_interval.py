"""Interval and p-value of a mean over few trainings: Student's t, widened for skewness.

Five trainings are few, and their scores are often skewed or hold one that failed. Two intervals are joined:
Student's t, and Student's t after Hall's transformation, which follows the skewness of the values. From the
lower of the two lower ends to the higher of the two upper ends, the mean is always inside. No random numbers
are drawn. How often it covers the true mean, and what it costs in width beside other intervals, is in
``docs/data/interval_coverage.csv``.

References
----------
P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221: g(W) = W + a W^2/3 + a^2 W^3/27 + a/(6n),
for W = (mean - truth)/s and the skewness a; sqrt(n) g(W) is compared with Student's t of n - 1 degrees of
freedom.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr, stdtrit

from hepfm.core.errors import ConfigError
from hepfm.metrics.predictions import FloatArray

LEVEL = 0.95
"""Probability of the intervals that verdicts rest on."""

FEWEST = 3
"""Fewest values with an interval: two have no skewness, and their spread is known to a factor of thirty."""

NAME = "student t widened for skewness"

_NO_SKEWNESS = 1e-6
_EQUAL = 1e-12
"""Spread over size below which values differ by rounding only."""


def why_no_interval(values: FloatArray) -> str:
    """Return why the mean of these values has no interval; nothing when it has one.

    >>> why_no_interval(np.array([0.5, 0.7]))
    'fewer than 3 trainings (2)'
    """
    if not np.isfinite(values).all():
        return "a value is undefined"
    if len(values) < FEWEST:
        return f"fewer than {FEWEST} trainings ({len(values)})"
    if np.ptp(values) <= _EQUAL * np.abs(values).max():
        return "all values are equal"
    return ""


def mean_interval(values: FloatArray, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the central interval of the mean.

    Parameters
    ----------
    values
        One per training, or per pair of trainings, shape (n,), n at least 3.
    level
        Nominal probability; see the coverage table for what is reached.

    Raises
    ------
    ConfigError
        When `why_no_interval` gives a reason.

    Examples
    --------
    >>> low, high = mean_interval(np.array([0.90, 0.91, 0.92, 0.93, 0.94]))
    >>> round(low, 3), round(high, 3)
    (0.9, 0.94)
    """
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval lies between 0 and 1, got {level}")
    mean, scale, skewness = _moments(values)
    count = len(values)
    quantile = float(stdtrit(count - 1, (1 + level) / 2))
    half = quantile / np.sqrt(count)
    pulls = (half, _untransformed(half, skewness, count))
    others = (-half, _untransformed(-half, skewness, count))
    return float(mean - scale * max(pulls)), float(mean - scale * min(others))


def one_sided(values: FloatArray, *, null: float = 0.0) -> tuple[float, float]:
    """Return the p-values of "the true mean is at most `null`" and of "it is at least `null`".

    Each is the larger one of the two tests, as the interval is the wider one of two.
    """
    mean, scale, skewness = _moments(values)
    count = len(values)
    pull = (mean - null) / scale
    both = np.sqrt(count) * np.array([pull, _transformed(pull, skewness, count)])
    above, below = stdtr(count - 1, -both).max(), stdtr(count - 1, both).max()
    return float(above), float(below)


def p_value(values: FloatArray, *, null: float = 0.0) -> float:
    """Return the two-sided p-value of "the true mean is `null`"; below 1 - level where the interval excludes
    it.

    >>> round(p_value(np.array([0.02, 0.03, 0.01, 0.02, 0.03])), 4)
    0.013
    """
    return float(min(1.0, 2 * min(one_sided(values, null=null))))


def _moments(values: FloatArray) -> tuple[float, float, float]:
    """Return mean, standard deviation (ddof = 1) and skewness (moments with ddof = 0)."""
    reason = why_no_interval(values)
    if reason:
        raise ConfigError(f"no interval of the mean: {reason}")
    mean = float(values.mean())
    away = values - mean
    skewness = float((away**3).mean() / (away**2).mean() ** 1.5)
    return mean, float(values.std(ddof=1)), skewness


def _transformed(pull: float, skewness: float, count: int) -> float:
    """Return Hall's g; it rises with `pull` everywhere."""
    return pull + skewness * pull**2 / 3 + skewness**2 * pull**3 / 27 + skewness / (6 * count)


def _untransformed(height: float, skewness: float, count: int) -> float:
    """Return the pull at which Hall's g has this height."""
    if abs(skewness) < _NO_SKEWNESS:
        return height
    inner = 1 + skewness * (height - skewness / (6 * count))
    return float(3 / skewness * (np.cbrt(inner) - 1))
