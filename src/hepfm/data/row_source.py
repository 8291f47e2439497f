"""What is read row by row, on disk or in memory: the reading interface of stores and tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Array, Ragged, lists
from hepfm.core.schema import Schema

Rows = npt.NDArray[Any] | Sequence[int] | range | slice | None
"""Which rows: numbers in any order, a range, a slice, or None for all."""

Index = npt.NDArray[np.int64]


class RowSource(ABC):
    """Rows (jets, events, showers) of one schema, read by their numbers.

    Loaders and models take any source: a `hepfm.data.store.Store` on disk, a `hepfm.data.table.Table` in
    memory. A source says what it holds and copies rows out; the rest follows.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it, e.g. its path."""

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """What the columns mean."""

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """Number of rows of all splits."""

    @property
    @abstractmethod
    def splits(self) -> dict[str, range]:
        """Row numbers of each split; ``np.asarray(source.splits["train"])`` gives an array."""

    @property
    @abstractmethod
    def provenance(self) -> Mapping[str, Any]:
        """Where the data come from; JSON-ready."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Short hash of schema and contents."""

    @abstractmethod
    def with_schema(self, schema: Schema) -> Self:
        """Return the same rows under a schema whose roles differ; the fields must be the same."""

    @abstractmethod
    def _take(self, names: list[str], index: range | Index) -> dict[str, Array | Ragged]:
        """Return copies of columns of some rows, at least one, which exist."""

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        splits = ", ".join(f"{len(rows):,} {split}" for split, rows in self.splits.items())
        classes = (
            f", {self.schema.label}: {', '.join(self.schema.label_classes)}" if self.schema.label else ""
        )
        return f"{type(self).__name__}({self.name}: rows {splits}; {len(self.schema.fields)} fields{classes})"

    def split(self, name: str) -> range:
        """Return the row numbers of a split; raise `DataError` when there is none of that name."""
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}{did_you_mean(name, self.splits)}")
        return self.splits[name]

    def read(self, names: Iterable[str], rows: Rows = None) -> dict[str, Array | Ragged]:
        """Return copies of columns of the given rows, in the given order.

        Parameters
        ----------
        names
            Fields to read.
        rows
            Row numbers, a range, a slice, or None for all.
        """
        names = list(names)
        for name in names:
            self.schema[name]
        index = self.index(rows)
        return self._take(names, index) if len(index) else self._empty(names)

    def lengths(self, level: str, rows: Rows = None) -> Index:
        """Return the number of entries of a deeper level (``"constituent"``, ...) in each row, int64."""
        name = next((field.name for field in self.schema if field.level == level), None)
        if name is None or not self.schema.is_ragged(name):
            raise DataError(f"{self.name} has no lists of level {level!r}")
        return lists(self.read([name], rows), name).lengths

    def index(self, rows: Rows) -> range | Index:
        """Return rows as a range or as an int64 array; raise `DataError` when the source lacks some."""
        if rows is None or isinstance(rows, slice):
            rows = range(self.num_rows)[rows if rows is not None else slice(None)]
        if isinstance(rows, range) and rows.step == 1:
            index: range | Index = rows
            low, high = (rows.start, rows.stop - 1) if len(rows) else (0, -1)
        else:
            index = np.asarray(rows)
            if index.dtype.kind not in "iu" and index.size:
                raise DataError(f"rows are whole numbers, got {index.dtype}")
            index = index.astype(np.int64, copy=False)
            low, high = (int(index.min()), int(index.max())) if index.size else (0, -1)
        if low < 0 or high >= self.num_rows:
            raise DataError(f"rows {low} to {high} asked for, {self.name} has {self.num_rows}")
        return index

    def _empty(self, names: list[str]) -> dict[str, Array | Ragged]:
        return {
            name: Ragged(values, np.zeros(1, np.int64)) if self.schema.is_ragged(name) else values
            for name in names
            for values in [np.zeros(0, self.schema[name].dtype)]
        }


def draw_rows(index: range | Index, limit: int, rng: np.random.Generator) -> Index:
    """Return the rows, or where there are more than `limit` a draw of so many, in rising order.

    Places are drawn, not rows, so that a range of any length costs no memory.
    """
    if len(index) <= limit:
        return np.asarray(index, np.int64)
    places = rng.choice(len(index), limit, replace=False)
    return np.sort(places + index.start if isinstance(index, range) else index[places])
