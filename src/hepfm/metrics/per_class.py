"""Efficiency and purity of one class when each row is called by its most probable class.

``efficiency.argmax.v1``: rows of the class that are called it, over rows of the class. ``purity.argmax.v1``:
the same rows over all that are called it. Known elsewhere as recall and precision. Rows count by weight,
which may be negative; a fraction is undefined where its denominator is not above 0.
"""

from __future__ import annotations

import numpy as np

from hepfm.metrics.bootstrap import Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, Predictions


def efficiency_statistic(predictions: Predictions, *, name: str) -> Statistic:
    """Return the efficiency of a class as a function of row weights; undefined (NaN) without such rows."""
    called, true = _called(predictions, name)
    return _fraction(called & true, true)


def purity_statistic(predictions: Predictions, *, name: str) -> Statistic:
    """Return the purity of a class as a function of row weights; undefined (NaN) when no row is called it."""
    called, true = _called(predictions, name)
    return _fraction(called & true, called)


def efficiency(predictions: Predictions, *, name: str) -> Measurement:
    """Measure the efficiency of a class with its statistical uncertainty; None without such rows.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]])
    >>> predictions = Predictions(np.array([0, 0, 1, 1]), p, ("h", "3h"))
    >>> efficiency(predictions, name="3h").value
    0.5
    """
    return _measured(efficiency_statistic(predictions, name=name), predictions, "efficiency.argmax.v1")


def purity(predictions: Predictions, *, name: str) -> Measurement:
    """Measure the purity of a class with its statistical uncertainty."""
    return _measured(purity_statistic(predictions, name=name), predictions, "purity.argmax.v1")


def _called(predictions: Predictions, name: str) -> tuple[np.ndarray, np.ndarray]:
    index = predictions.index(name)
    return predictions.probabilities.argmax(axis=1) == index, predictions.labels == index


def _fraction(part: np.ndarray, whole: np.ndarray) -> Statistic:
    part, whole = part.astype(np.float64), whole.astype(np.float64)

    def statistic(weights: FloatArray) -> float:
        total = float(whole @ weights)
        return float(part @ weights) / total if total > 0 else float("nan")

    return statistic


def _measured(statistic: Statistic, predictions: Predictions, definition: str) -> Measurement:
    return bootstrap_measurement(
        statistic, predictions.row_weights, definition=definition, groups=predictions.groups
    )
