"""A number over several trainings: its mean with the interval of that mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import ONE_SIGMA, finite
from hepfm.metrics.mean_interval import NAME, mean_interval, why_no_interval
from hepfm.metrics.predictions import FloatArray

Scale = Literal["difference", "ratio"]
"""Whether two values are compared by a - b, or by a / b (means are then geometric)."""


@dataclass(frozen=True)
class TrainingMean:
    """How one number comes out over trainings.

    Attributes
    ----------
    value
        Mean; geometric for ratios. None when a training has no value.
    low, high
        68 % interval of the mean; None without one.
    std
        Standard deviation of single trainings, ddof = 1; of a ratio relative, that of its logarithm. None for
        one training, or without a mean.
    count
        Number of trainings.
    interval
        How the interval was made, or why there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    std: float | None
    count: int
    interval: str


def mean_over_trainings(values: Sequence[float | None], *, scale: Scale = "difference") -> TrainingMean:
    """Return the mean over trainings with its 68 % interval.

    Parameters
    ----------
    values
        One per training. None is a rejection without surviving background: the mean does not exist then.
    scale
        ``"ratio"`` for quantities that are compared by ratio: everything is done on logarithms.

    Examples
    --------
    >>> mean = mean_over_trainings([0.90, 0.92, 0.94, 0.96])
    >>> round(mean.value, 3), round(mean.low, 3), round(mean.high, 3)
    (0.93, 0.915, 0.945)
    """
    if not values:
        raise ConfigError("no trainings to summarise")
    numbers = to_scale(np.array([np.nan if value is None else value for value in values], float), scale)
    reason = why_no_interval(numbers)
    count, whole = len(numbers), bool(np.isfinite(numbers).all())
    mean = from_scale(float(numbers.mean()), scale) if whole else None
    std = float(numbers.std(ddof=1)) if whole and count > 1 else None
    if reason:
        return TrainingMean(mean, None, None, std, count, f"none: {reason}")
    low, high = (from_scale(end, scale) for end in mean_interval(numbers, level=ONE_SIGMA))
    return TrainingMean(mean, low, high, std, count, f"{NAME} 68% over {count} trainings")


def to_scale(values: FloatArray, scale: Scale) -> FloatArray:
    """Return values on the scale on which they are averaged: logarithms for ratios."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values) if scale == "ratio" else values


def from_scale(value: float, scale: Scale) -> float | None:
    """Return a mean or an end on the scale of the values; None where it is infinite or undefined."""
    if not np.isfinite(value):
        return None
    with np.errstate(over="ignore"):
        return finite(float(np.exp(value)) if scale == "ratio" else value)
