"""Partitions of the tracks of jets into vertices: adjusted Rand index, efficiency and purity of pairs.

Two tracks of one vertex are a pair. The adjusted Rand index of a jet compares the pairs that are found with
the true ones, less what random partitions with the same sizes would share: 1 for equal partitions, 0 on
average for random ones (L. Hubert and P. Arabie, Journal of Classification 2 (1985) 193; the same as
scikit-learn's ``adjusted_rand_score``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.predictions import FloatArray, IntArray


@dataclass(frozen=True)
class PairCounts:
    """Pairs of tracks of each jet, shape (R,) each.

    Attributes
    ----------
    pairs
        All of them.
    true, found
        Those of one vertex, by the truth and by what is measured.
    both
        Those of one vertex by both.
    """

    pairs: IntArray
    true: IntArray
    found: IntArray
    both: IntArray

    @classmethod
    def of(cls, truth: Ragged, found: Ragged) -> PairCounts:
        """Count the pairs of two partitions, given as the number of the vertex of each track.

        Raises
        ------
        DataError
            When the jets of the two have other numbers of tracks.
        """
        if not np.array_equal(truth.offsets, found.offsets):
            raise DataError("vertices are given for other tracks than those whose true vertex is known")
        row, rows = truth.row_index(), len(truth)
        return cls(
            _pairs(truth.lengths),
            *(_same(row, columns, rows) for columns in ((truth,), (found,), (truth, found))),
        )

    def take(self, rows: Array) -> PairCounts:
        """Return the given jets."""
        return PairCounts(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def adjusted_rand(self) -> FloatArray:
        """Adjusted Rand index of each jet, shape (R,); 1 for equal partitions, NaN with fewer than two
        tracks."""
        pairs = np.maximum(self.pairs, 1)
        chance = self.true * self.found / pairs
        reach = (self.true + self.found) / 2 - chance
        index = np.divide(self.both - chance, reach, out=np.ones(len(reach)), where=reach > 0)
        index[self.pairs == 0] = np.nan
        return index


def _pairs(number: IntArray) -> IntArray:
    return number * (number - 1) // 2


def _same(row: IntArray, partitions: tuple[Ragged, ...], rows: int) -> IntArray:
    """Return the pairs of each jet that agree in all of some partitions."""
    keys = np.stack([row, *(partition.values for partition in partitions)], axis=1)
    groups, sizes = np.unique(keys, axis=0, return_counts=True)
    sums = np.bincount(groups[:, 0].astype(np.int64), _pairs(sizes), minlength=rows)
    return sums.astype(np.int64)


def adjusted_rand_statistic(counts: PairCounts) -> Statistic:
    """Return the mean adjusted Rand index of jets with two tracks or more, as a function of their weights."""
    index = counts.adjusted_rand
    there = np.isfinite(index)
    return _ratio(np.where(there, index, 0.0), there.astype(np.float64))


def adjusted_rand_of_several_statistic(counts: PairCounts) -> Statistic:
    """Return the same mean over jets whose tracks come from two true vertices or more."""
    several = counts.true < counts.pairs
    return _ratio(np.where(several, counts.adjusted_rand, 0.0), several.astype(np.float64))


def pair_efficiency_statistic(counts: PairCounts) -> Statistic:
    """Return the fraction of true pairs that are found, those of all jets together."""
    return _ratio(counts.both.astype(np.float64), counts.true.astype(np.float64))


def pair_purity_statistic(counts: PairCounts) -> Statistic:
    """Return the fraction of found pairs that are true, those of all jets together."""
    return _ratio(counts.both.astype(np.float64), counts.found.astype(np.float64))


def _ratio(part: FloatArray, whole: FloatArray) -> Statistic:
    def statistic(weights: FloatArray) -> float:
        total = float(whole @ weights)
        return float(part @ weights) / total if total > 0 else float("nan")

    return statistic
