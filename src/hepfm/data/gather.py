"""Copying rows out of the views of shards, fast both for runs of neighbours and for scattered rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Ragged, gather_index
from hepfm.data.arrow import View

Index = npt.NDArray[np.int64]
Part = tuple[Mapping[str, View], Index | slice]
"""The views of a shard, and which of its rows: numbers in any order, or a slice with both ends."""

_Pick = Callable[[Array], list[Array]]

_RUN = 4
"""Mean length of runs of neighbouring rows from which copying run by run beats gathering entry by entry."""


def take(parts: Sequence[Part], names: Sequence[str]) -> dict[str, Array | Ragged]:
    """Return copies of some columns of the given rows of one or more shards, end to end.

    Lists of one level have the same lengths, so the offsets of the first are read for all.
    """
    pickers = [_Picker(views, rows) for views, rows in parts]
    columns: dict[str, Array | Ragged] = {}
    offsets: dict[str, Index] = {}
    for name in names:
        view = parts[0][0][name]
        values = np.concatenate([piece for picker in pickers for piece in picker.pieces(name)])
        if view.offsets is None:
            columns[name] = values
            continue
        if view.level not in offsets:
            lengths = np.concatenate([picker.lengths[view.level] for picker in pickers])
            offsets[view.level] = np.append(0, np.cumsum(lengths, dtype=np.int64))
        columns[name] = Ragged(values, offsets[view.level])
    return columns


class _Picker:
    """Picks the same rows from every column of one shard."""

    def __init__(self, views: Mapping[str, View], rows: Index | slice) -> None:
        self.views = views
        self.starts, self.stops = _runs(rows)
        scattered = len(self.starts) * _RUN > (self.stops - self.starts).sum()
        self.rows: Any = np.asarray(rows) if scattered else None
        self.lengths: dict[str, Array] = {}
        self._picks: dict[str, _Pick] = {}

    def pieces(self, name: str) -> list[Array]:
        """Return arrays that, end to end, are the values of a column in the picked rows."""
        view = self.views[name]
        level = "" if view.offsets is None else view.level
        if level not in self._picks:
            self._picks[level] = self._rows() if view.offsets is None else self._lists(level, view.offsets)
        return self._picks[level](view.values)

    def _rows(self) -> _Pick:
        return _slices(self.starts, self.stops) if self.rows is None else _entries(self.rows)

    def _lists(self, level: str, offsets: Array) -> _Pick:
        pick = self._rows()
        lower, upper = (np.concatenate(pick(ends)).astype(np.int64) for ends in (offsets[:-1], offsets[1:]))
        self.lengths[level] = upper - lower
        if self.rows is None:
            return _slices(offsets[self.starts], offsets[self.stops])
        return _entries(gather_index(lower, upper - lower)[0])


def _runs(rows: Index | slice) -> tuple[Index, Index]:
    """Return the first row of each run of neighbours, and the row after its last; at least one run."""
    if isinstance(rows, slice):
        return np.array([rows.start], np.int64), np.array([rows.stop], np.int64)
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    return rows[np.append(0, breaks)], rows[np.append(breaks, len(rows)) - 1] + 1


def _slices(starts: Array, stops: Array) -> _Pick:
    runs = [slice(start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    return lambda values: [values[run] for run in runs]


def _entries(index: Index) -> _Pick:
    return lambda values: [values[index]]
