"""Accuracy: the fraction of rows, by weight, whose most probable class is the true one.

It is linear in the weights. With negative ones it is estimated without bias, but may lie outside [0, 1].
"""

from __future__ import annotations

import numpy as np

from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, Predictions

DEFINITION = "accuracy.argmax.v1"


def accuracy_statistic(predictions: Predictions) -> Statistic:
    """Return the accuracy as a function of row weights. Of equal probabilities the first class counts."""
    correct = (predictions.probabilities.argmax(axis=1) == predictions.labels).astype(np.float64)

    def statistic(weights: FloatArray) -> float:
        total = weights.sum()
        return float(correct @ weights / total) if total > 0 else float("nan")

    return statistic


def accuracy(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0) -> Measurement:
    """Measure the accuracy with its statistical uncertainty, by bootstrap.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]])
    >>> accuracy(Predictions(np.array([0, 1, 1, 1]), p, ("background", "signal"))).value
    0.75
    """
    return bootstrap_measurement(
        accuracy_statistic(predictions),
        predictions.row_weights,
        definition=DEFINITION,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )
