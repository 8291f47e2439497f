"""Columns that are arrays, or parts of arrays, of one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.data.tables.base import FileTable


@dataclass(frozen=True)
class ArrayColumn:
    """A column of an array on disk.

    Attributes
    ----------
    array
        An array, or a data set of HDF5: it has a `shape` and a `dtype`, and is read by slices of rows.
    field
        Which field of a structured array; None for an array of numbers.
    place
        Which column of a two-dimensional one; None for all.
    """

    array: Any
    field: str | None = None
    place: int | None = None


class ArraysTable(FileTable):
    """Columns that are arrays of the same length; each array is read once in a piece.

    Attributes
    ----------
    columns
        The columns by name.
    """

    columns: Mapping[str, ArrayColumn]

    def _num_rows(self, names: list[str]) -> int:
        rows = {name: self._rows(name) for name in names}
        if len(set(rows.values())) > 1:
            raise DataError(f"{self.path}: columns with different numbers of rows: {rows}")
        return next(iter(rows.values()), 0)

    def _rows(self, name: str) -> int:
        shape = self.columns[name].array.shape
        if not shape:
            raise DataError(f"{self.path}: {name!r} is a single number, not a column")
        return int(shape[0])

    def _chunks(self, names: list[str], rows: int) -> Iterator[dict[str, Any]]:
        for start in range(0, self._num_rows(names), rows):
            read: dict[tuple[int, str | None], Any] = {}
            yield {
                name: self._part(self.columns[name], name, slice(start, start + rows), read) for name in names
            }

    def _matrices(self, names: list[str], rows: int) -> Iterator[Array]:
        blocks: dict[tuple[int, str | None], list[int]] = {}
        for place, name in enumerate(names):
            column = self.columns[name]
            blocks.setdefault((id(column.array), column.field), []).append(place)
        for start in range(0, self._num_rows(names), rows):
            parts = [(places, self._block(names, places, start, start + rows)) for places in blocks.values()]
            kind = np.result_type(*(part for _, part in parts))
            matrix = np.empty((len(parts[0][1]), len(names)), kind)
            for places, part in parts:
                matrix[:, places] = part
            yield matrix

    def _block(self, names: list[str], places: list[int], start: int, stop: int) -> Array:
        """Return columns of one array, (rows, columns)."""
        first = self.columns[names[places[0]]]
        values = self._values(first, names[places[0]], slice(start, stop))
        if first.place is None:
            return values[:, None]
        return values[:, [self.columns[names[place]].place for place in places]]

    def _part(
        self, column: ArrayColumn, name: str, rows: slice, read: dict[tuple[int, str | None], Any]
    ) -> Any:
        import awkward as ak

        key = (id(column.array), column.field)
        if key not in read:
            read[key] = self._values(column, name, rows)
        values = read[key]
        return ak.from_numpy(values if column.place is None else values[:, column.place], regulararray=True)

    def _values(self, column: ArrayColumn, name: str, rows: slice) -> Any:
        array, field = column.array, column.field
        kind = array.dtype if field is None else array.dtype[field].base
        if kind.kind not in "biuf":
            raise DataError(f"{self.path}: {name!r} holds {_said(kind)}, not numbers")
        if field is not None:
            array = array.fields(field) if hasattr(array, "fields") else array[field]
        values = np.asarray(array[rows])
        return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def _said(kind: np.dtype[Any]) -> str:
    return "values of variable length" if kind.hasobject else f"{kind}"
