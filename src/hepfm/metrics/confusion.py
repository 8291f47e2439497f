"""Confusion matrix: which class is called which, with the interval of every fraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.metrics.intervals import clopper_pearson
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions


@dataclass(frozen=True)
class Confusion:
    """Counts and fractions of (true class, called class).

    Attributes
    ----------
    classes
        Names, in the order of both axes.
    counts
        Rows, shape (K, K): ``counts[i, j]`` of true class i are called j.
    fractions
        Sum of weights of these rows over that of the class, shape (K, K): the probability to call a jet of
        class i a j. With negative weights a fraction may lie outside [0, 1].
    low, high
        Clopper-Pearson 68 % interval of the fractions, shape (K, K), at the effective number of rows
        ``(sum w)^2 / sum w^2`` of the class; of the nearest possible fraction where one lies outside [0, 1].
    """

    classes: tuple[str, ...]
    counts: IntArray
    fractions: FloatArray
    low: FloatArray
    high: FloatArray


def confusion(predictions: Predictions) -> Confusion:
    """Return the confusion matrix of the most probable class, by weight."""
    called = predictions.probabilities.argmax(axis=1)
    weights = predictions.row_weights
    counts, sums, squares = (_sums(predictions, called, weights**power) for power in (0, 1, 2))
    for name in predictions.classes:
        predictions.rows_of(name)  # a class without rows has no fractions
    fractions = sums / sums.sum(axis=1, keepdims=True)
    effective = sums.sum(axis=1) ** 2 / squares.sum(axis=1)
    possible = np.clip(fractions, 0, 1)
    ends = np.array(
        [[clopper_pearson(p * n, n) for p in row] for row, n in zip(possible, effective, strict=True)]
    )
    return Confusion(predictions.classes, counts.astype(np.int64), fractions, ends[..., 0], ends[..., 1])


def _sums(predictions: Predictions, called: IntArray, weights: FloatArray) -> FloatArray:
    """Return the sum of weights of each (true class, called class), shape (K, K)."""
    num_classes = len(predictions.classes)
    cell = predictions.labels * num_classes + called
    sums: FloatArray = np.bincount(cell, weights, minlength=num_classes**2).astype(np.float64)
    return sums.reshape(num_classes, num_classes)
