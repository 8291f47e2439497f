"""Ragged lists as offsets and values: how constituents, objects and hits are held everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Ragged:
    """Lists of different lengths, one after the other.

    Attributes
    ----------
    values
        All entries, shape (offsets[-1],).
    offsets
        int64, shape (rows + 1,); row i is ``values[offsets[i]:offsets[i + 1]]``; ``offsets[0] == 0``.
    """

    values: Array
    offsets: npt.NDArray[np.int64]

    @classmethod
    def from_lengths(cls, values: Array, lengths: Array) -> Ragged:
        """Build from the number of entries of each row."""
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(values, offsets)

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[float]], dtype: npt.DTypeLike = np.float32) -> Ragged:
        """Build from Python lists.

        >>> Ragged.from_lists([[1, 2], [], [3]]).lengths.tolist()
        [2, 0, 1]
        """
        flat = [entry for row in rows for entry in row]
        return cls.from_lengths(np.asarray(flat, dtype), np.asarray([len(row) for row in rows], np.int64))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of entries of each row, int64, shape (rows,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> Array:
        """Return one row as a view."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def with_values(self, values: Array) -> Ragged:
        """Return the same row structure around other values."""
        return Ragged(values, self.offsets)

    def row_index(self) -> npt.NDArray[np.int64]:
        """Return the row of each value, int64, shape (values,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: Array) -> Ragged:
        """Return the given rows (indices or a boolean mask) in the given order, as a copy."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        lengths = self.lengths[index]
        gather, offsets = gather_index(self.offsets[index], lengths)
        return Ragged(self.values[gather], offsets)

    def keep(self, mask: Array) -> Ragged:
        """Return the entries where `mask`, boolean of shape (values,), is true; rows may become empty."""
        counts = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
        return Ragged(self.values[mask], counts[self.offsets])


Columns = Mapping[str, "Array | Ragged"]
"""Columns of rows by field name: an array for a field of the row, a `Ragged` for lists within it."""


def gather_index(
    starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices that lay runs ``[start, start + length)`` end to end, and the new offsets."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return index, offsets


def entry_pairs(first: Array, second: Array) -> tuple[Array, Array]:
    """Return the places of all pairs of an entry of one list and one of another of the same row.

    Parameters
    ----------
    first, second
        Numbers of entries of each row.

    Examples
    --------
    >>> [places.tolist() for places in entry_pairs(np.array([2, 1]), np.array([1, 2]))]
    [[0, 1, 2, 2], [0, 0, 1, 2]]
    """
    row = np.repeat(np.arange(len(first)), first)
    counts = second[row]
    one = np.repeat(np.arange(len(row)), counts)
    start = (np.cumsum(second) - second)[row] - (np.cumsum(counts) - counts)
    return one, np.arange(counts.sum()) + np.repeat(start, counts)


def largest(values: Ragged, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the entries of the `number` largest values of each row, falling in each, and their numbers.

    >>> [array.tolist() for array in largest(Ragged.from_lists([[1, 3, 2], [5]]), 2)]
    [[1, 2, 3], [2, 1]]
    """
    row = values.row_index()
    order = np.lexsort((-values.values, row))
    place = np.arange(len(row)) - np.repeat(values.offsets[:-1], values.lengths)
    return order[place < number], np.minimum(values.lengths, number)


def lists(columns: Columns, name: str) -> Ragged:
    """Return a column of lists; raise `TypeError` for one that has a value a row."""
    column = columns[name]
    if not isinstance(column, Ragged):
        raise TypeError(f"column {name!r} has one value a row, not a list")
    return column


def concatenate(parts: Sequence[Columns]) -> dict[str, Array | Ragged]:
    """Join column sets of the same fields row after row."""
    joined: dict[str, Array | Ragged] = {}
    for name in parts[0]:
        columns = [part[name] for part in parts]
        if isinstance(columns[0], Ragged):
            ragged = [column for column in columns if isinstance(column, Ragged)]
            joined[name] = Ragged.from_lengths(
                np.concatenate([column.values for column in ragged]),
                np.concatenate([column.lengths for column in ragged]),
            )
        else:
            joined[name] = np.concatenate([np.asarray(column) for column in columns])
    return joined


def take_rows(columns: Columns, rows: Array) -> dict[str, Array | Ragged]:
    """Return the given rows (indices or a boolean mask) of every column."""
    return {
        name: column.take(rows) if isinstance(column, Ragged) else column[rows]
        for name, column in columns.items()
    }
