"""Errors of test rows, one or several of each and not of every row, and their statistics with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.metrics.response import RowStatistic, response_measurement, weights_statistic


@dataclass(frozen=True)
class RowValues:
    """K numbers of each of R rows.

    Attributes
    ----------
    values
        Shape (R, K); NaN where there is none.
    weights
        Event weights, shape (R,); None for equal ones.
    groups
        Groups of rows that are resampled together, shape (R,); None for rows one by one. The numbers of one
        row always stay together.
    """

    values: Array
    weights: FloatArray | None
    groups: IntArray | None

    @property
    def known(self) -> bool:
        """Whether there is any number."""
        return bool(np.isfinite(self.values).any())

    def measurement(self, statistic: RowStatistic, *, definition: str) -> Measurement:
        """Return a statistic of all numbers with its interval over rows."""
        there, row = self._there()
        groups = row if self.groups is None else self.groups[row]
        weights = None if self.weights is None else self.weights[row]
        return response_measurement(
            self.values[there], statistic, definition=definition, weights=weights, groups=groups
        )

    def statistic(self, statistic: RowStatistic) -> Statistic:
        """Return the same as a function of the weights of rows."""
        there, row = self._there()
        weights = None if self.weights is None else self.weights[row]
        of_values = weights_statistic(self.values[there], statistic, weights)
        return lambda row_weights: of_values(row_weights[row])

    def _there(self) -> tuple[Array, IntArray]:
        there = np.isfinite(self.values)
        return there, np.nonzero(there)[0]
