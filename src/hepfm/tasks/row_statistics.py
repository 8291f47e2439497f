"""What a result says of each test row: the metrics as functions of the rows' weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hepfm.core.ragged import Array
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.predictions import FloatArray, IntArray

SAME = ("rows", "truth", "groups")
"""What is the same for all models of one store; resamples depend on the groups of the rows."""


@dataclass(frozen=True)
class RowStatistics:
    """A model on test rows, ready to be resampled together with another on the same rows.

    Attributes
    ----------
    rows
        Numbers of the rows in their store.
    truth
        True class or number of each, or another number that is the row's and not the model's.
    weights
        Their weights; ones without event weights.
    metrics
        By name of the metric its value for given weights.
    groups
        Group of each row, where rows of one group are resampled together; None for rows one by one.
    """

    rows: IntArray
    truth: Array
    weights: FloatArray
    metrics: Mapping[str, Statistic]
    groups: IntArray | None = None
