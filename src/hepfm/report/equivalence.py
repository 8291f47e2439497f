"""Label-equivalent factor: how many times more labels the baseline needs to do as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.metrics.trainings import Scale
from hepfm.report.sections import Group
from hepfm.report.summary import Curve, Summary


@dataclass(frozen=True)
class Equivalence:
    """Baseline budget over the arm's budget at the same mean of a metric.

    Attributes
    ----------
    group
        The arm and its budget.
    factor
        Baseline labels per label of the arm; None when the baseline's curve does not reach that value.
    low, high
        The same for the ends of the 68 % interval of the arm's mean; None where the curve does not reach.
    bound
        ``""``, or ``">"`` (``"<"``) where the value lies above (below) the whole curve of the baseline.
    limit
        The bound on the factor.
    """

    group: Group
    factor: float | None
    low: float | None
    high: float | None
    bound: str = ""
    limit: float | None = None


def equivalences(arm: Curve, baseline: Curve, scale: Scale) -> tuple[Equivalence, ...]:
    """Return the factor of every point of `arm`, by interpolating the baseline's means in log N.

    Metrics compared as ratios are interpolated by their logarithm. The curve is read at its first crossing.
    """
    known = [point for point in baseline.points if point.mean.value is not None]
    if len(known) < 2:
        return ()
    budgets = np.log([float(point.group.budget or 0) for point in known])
    heights = _height(np.array([point.mean.value for point in known], np.float64), scale)
    return tuple(_one(point, budgets, heights, scale) for point in arm.points)


def _one(point: Summary, budgets: np.ndarray, heights: np.ndarray, scale: Scale) -> Equivalence:
    own = float(np.log(point.group.budget or 1))

    def factor(value: float | None) -> float | None:
        height = None if value is None else float(_height(np.array(value), scale))
        crossing = None if height is None else first_crossing(budgets, heights, height)
        return None if crossing is None else float(np.exp(crossing - own))

    middle = point.mean.value
    found = factor(middle)
    if found is not None:
        return Equivalence(point.group, found, factor(point.mean.low), factor(point.mean.high))
    above = middle is None or _height(np.array(middle), scale) > heights.max()
    end = budgets[-1] if above else budgets[0]
    return Equivalence(point.group, None, None, None, ">" if above else "<", float(np.exp(end - own)))


def first_crossing(x: np.ndarray, y: np.ndarray, height: float) -> float | None:
    """Return the first x where the line through (x, y) takes the value `height`; None when it never does.

    >>> first_crossing(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0]), 1.5)
    0.75
    """
    for left in range(len(x) - 1):
        low, high = y[left], y[left + 1]
        if min(low, high) <= height <= max(low, high):
            fraction = 0.0 if high == low else (height - low) / (high - low)
            return float(x[left] + fraction * (x[left + 1] - x[left]))
    return None


def _height(values: np.ndarray, scale: Scale) -> np.ndarray:
    return np.log(values) if scale == "ratio" else values
