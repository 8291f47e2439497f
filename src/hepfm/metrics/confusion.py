"""Confusion matrix: which class is called which, with the interval of every share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.metrics.intervals import clopper_pearson
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions


@dataclass(frozen=True)
class Confusion:
    """Counts and shares of (true class, called class).

    Attributes
    ----------
    classes
        Names, in the order of both axes.
    counts
        Rows, shape (K, K): ``counts[i, j]`` of true class i are called j.
    shares
        ``counts`` over the row's sum, shape (K, K): the probability to call a jet of class i a j.
    low, high
        Clopper-Pearson 68 % interval of the shares, shape (K, K).
    """

    classes: tuple[str, ...]
    counts: IntArray
    shares: FloatArray
    low: FloatArray
    high: FloatArray


def confusion(predictions: Predictions) -> Confusion:
    """Return the confusion matrix of the most probable class; row weights are not used."""
    num_classes = len(predictions.classes)
    called = predictions.probabilities.argmax(axis=1)
    counts = np.bincount(predictions.labels * num_classes + called, minlength=num_classes**2)
    counts = counts.reshape(num_classes, num_classes).astype(np.int64)
    totals = np.array([len(predictions.rows_of(name)) for name in predictions.classes])
    ends = np.array([[clopper_pearson(k, n) for k in row] for row, n in zip(counts, totals, strict=True)])
    return Confusion(predictions.classes, counts, counts / totals[:, None], ends[..., 0], ends[..., 1])
