"""Copying rows out of the views of shards, fast both for runs of neighbours and for scattered rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Ragged, gather_index
from hepfm.data.arrow import ColumnView

Index = npt.NDArray[np.int64]
_Pick = Callable[[Array], list[Array]]

_RUN = 4
"""Mean length of runs of neighbouring rows from which copying run by run beats gathering entry by entry."""


@dataclass(frozen=True)
class Shard:
    """A mapped shard: views of its columns, and how to let its pages go."""

    views: Mapping[str, ColumnView]
    release: Callable[[], None]


def take(parts: Sequence[tuple[Shard, Index | slice]], names: Sequence[str]) -> dict[str, Array | Ragged]:
    """Return copies of some columns of the given rows of one or more shards, end to end.

    Lists of one level have the same lengths, so the offsets of the first are read for all. Each shard is
    released after each column: no more than one column of one shard is resident.

    Parameters
    ----------
    parts
        Shards, and which of their rows: numbers in any order, or a slice with both ends.
    names
        Columns to copy.
    """
    pickers = [_Picker(shard, rows) for shard, rows in parts]
    for name in names:
        for picker in pickers:
            picker.plan(name)
    columns = {name: _room(name, pickers) for name in names}
    filled = dict.fromkeys(names, 0)
    for picker in pickers:
        for name, column in columns.items():
            out = column.values if isinstance(column, Ragged) else column
            start, filled[name] = filled[name], filled[name] + picker.size(name)
            np.concatenate(picker.pieces(name), out=out[start : filled[name]])
            picker.shard.release()
    return columns


def _room(name: str, pickers: Sequence[_Picker]) -> Array | Ragged:
    view = pickers[0].shard.views[name]
    values = np.empty(sum(picker.size(name) for picker in pickers), view.values.dtype)
    if view.offsets is None:
        return values
    return Ragged.from_lengths(values, np.concatenate([picker.lengths[view.level] for picker in pickers]))


class _Picker:
    """Picks the same rows from every column of one shard."""

    def __init__(self, shard: Shard, rows: Index | slice) -> None:
        self.shard = shard
        self.starts, self.stops = _runs(rows)
        self.rows = int((self.stops - self.starts).sum())
        scattered = len(self.starts) * _RUN > self.rows
        self.entries = rows if scattered and not isinstance(rows, slice) else None
        self.lengths: dict[str, Index] = {}
        self._pick_rows = _slices(self.starts, self.stops) if self.entries is None else _entries(self.entries)
        self._pick_lists: dict[str, _Pick] = {}

    def plan(self, name: str) -> None:
        """Read the offsets of a list column, unless those of its level are known."""
        view = self.shard.views[name]
        if view.offsets is None or view.level in self.lengths:
            return
        ends = (view.offsets[:-1], view.offsets[1:])
        lower, upper = (np.concatenate(self._pick_rows(part)).astype(np.int64) for part in ends)
        self.lengths[view.level] = upper - lower
        if self.entries is None:
            pick = _slices(view.offsets[self.starts], view.offsets[self.stops])
        else:
            pick = _entries(gather_index(lower, upper - lower)[0])
        self._pick_lists[view.level] = pick

    def size(self, name: str) -> int:
        """Return the number of values of a column in the picked rows."""
        view = self.shard.views[name]
        return self.rows if view.offsets is None else int(self.lengths[view.level].sum())

    def pieces(self, name: str) -> list[Array]:
        """Return arrays that, end to end, are the values of a column in the picked rows."""
        view = self.shard.views[name]
        pick = self._pick_rows if view.offsets is None else self._pick_lists[view.level]
        return pick(view.values)


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
