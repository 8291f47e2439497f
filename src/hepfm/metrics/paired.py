"""Differences of two ways of training, measured on the same test rows and with paired seeds.

Two questions are kept apart: would other *test rows* reverse the difference (paired bootstrap), and would
other *trainings* (Student's t over paired seeds)?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.stats import t as student

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values, finite, percentile_interval
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

Scale = Literal["difference", "ratio"]
"""Whether two values are compared by a - b, or by a / b (averages are then geometric)."""

LEVEL = 0.95


def neutral(scale: Scale) -> float:
    """Return the value that means "equal": 0 for a difference, 1 for a ratio."""
    return 0.0 if scale == "difference" else 1.0


def paired_bootstrap(
    ours: Sequence[Statistic],
    theirs: Sequence[Statistic],
    weights: FloatArray,
    *,
    scale: Scale = "difference",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measurement:
    """Measure the mean of `ours` against the mean of `theirs` with the test-set error of the comparison.

    Every resample of the test rows is shared by all models, so that what is common to them cancels.

    Parameters
    ----------
    ours, theirs
        One statistic per trained model (one per seed), functions of the same rows' weights.
    weights
        Row weights, shape (n,).
    scale
        Difference of means, or ratio of geometric means.
    """
    statistics = [*ours, *theirs]
    draws = bootstrap_values(statistics, weights, resamples=resamples, seed=seed)
    low, high = percentile_interval(_compare(draws, len(ours), scale), LEVEL)
    itself = np.array([[statistic(weights) for statistic in statistics]])
    return Measurement(
        value=_back(_compare(itself, len(ours), scale)[0], scale),
        low=_back(low, scale),
        high=_back(high, scale),
        n=len(weights),
        definition=f"paired.{scale}.v1",
        interval=f"paired bootstrap 95% ({resamples})",
    )


def paired_seeds(
    ours: Sequence[float | None], theirs: Sequence[float | None], *, scale: Scale = "difference"
) -> Measurement:
    """Measure a difference with its error over trainings: Student's t on the differences of paired seeds.

    With one pair, or with an undefined value, there is no interval.
    """
    if len(ours) != len(theirs) or not ours:
        raise ConfigError(
            f"paired seeds need two equally long lists, got {len(ours)} and {len(theirs)} values"
        )
    values = np.array(
        [[np.inf if value is None else value for value in pair] for pair in zip(ours, theirs, strict=True)]
    )
    differences = _compare(values, 1, scale)
    count = len(differences)
    definition, mean = f"paired.{scale}.v1", float(differences.mean())
    if count == 1 or not np.isfinite(differences).all():
        why = "one pair of seeds" if count == 1 else "a value is undefined"
        return Measurement(_back(mean, scale), None, None, count, definition, f"none: {why}")
    half = float(student.ppf((1 + LEVEL) / 2, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    interval = f"student t 95% over {count} pairs of seeds"
    return Measurement(
        _back(mean, scale), _back(mean - half, scale), _back(mean + half, scale), count, definition, interval
    )


def excludes(measurement: Measurement, value: float) -> bool:
    """Tell whether the interval exists on the side that matters and leaves `value` out.

    >>> excludes(Measurement(0.2, 0.1, None, 9, "", ""), 0.0)
    True
    """
    above = measurement.low is not None and measurement.low > value
    below = measurement.high is not None and measurement.high < value
    return above or below


def _compare(values: FloatArray, split: int, scale: Scale) -> FloatArray:
    """Return the difference of row means left and right of `split`; of logarithms for a ratio."""
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = np.log(values) if scale == "ratio" else values
        result: FloatArray = numbers[:, :split].mean(axis=1) - numbers[:, split:].mean(axis=1)
    return result


def _back(value: float, scale: Scale) -> float | None:
    """Undo the logarithm; an infinite end, of a ratio to or from "no background passes", stays open."""
    if not np.isfinite(value):
        return None
    with np.errstate(over="ignore"):
        return finite(float(np.exp(value)) if scale == "ratio" else value)
