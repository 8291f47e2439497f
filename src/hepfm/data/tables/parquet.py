"""The columns of a Parquet file; members of structures are called ``Jet.pt``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hepfm.core.errors import DataError
from hepfm.data.remote import readable
from hepfm.data.tables.base import FileTable

_LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)


class ParquetTable(FileTable):
    """A Parquet file. Null entries of floating-point columns are read as NaN, which pandas writes so."""

    def _open(self, name: str | None) -> None:
        self._file = self.opened.enter_context(pq.ParquetFile(readable(self.path)))
        self.names = tuple(
            name for field in self._file.schema_arrow for name in _names(field.name, field.type)
        )

    def _num_rows(self, names: list[str]) -> int:
        return int(self._file.metadata.num_rows)

    def _chunks(self, names: list[str], rows: int) -> Iterator[dict[str, Any]]:
        columns = {name: self._place(name) for name in names}
        read = list(dict.fromkeys(column for column, _ in columns.values()))
        for batch in self._file.iter_batches(rows, columns=read):
            yield {
                name: self._array(batch.column(column), member, name)
                for name, (column, member) in columns.items()
            }

    def _place(self, name: str) -> tuple[str, str | None]:
        """Return the column of a name, and the member of its structures."""
        if name in self._file.schema_arrow.names:
            return name, None
        column, _, member = name.rpartition(".")
        return column, member

    def _array(self, array: pa.Array, member: str | None, name: str) -> Any:
        import awkward as ak

        if isinstance(array.type, _LISTS):
            self._refuse_nulls(array, name)
            inner = self._array(array.flatten(), member, name)
            if isinstance(array.type, pa.FixedSizeListType):
                return ak.to_regular(ak.unflatten(inner, array.type.list_size), axis=1)
            return ak.unflatten(inner, array.value_lengths().to_numpy())
        if member is not None:
            self._refuse_nulls(array, name)
            return self._array(array.field(member), None, name)
        if pa.types.is_floating(array.type):
            return ak.from_numpy(array.to_numpy(zero_copy_only=False))
        self._refuse_nulls(array, name)
        if not (pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)):
            raise DataError(f"{self.path}: column {name!r} holds {array.type}, not numbers")
        return ak.from_numpy(array.to_numpy(zero_copy_only=False))

    def _refuse_nulls(self, array: pa.Array, name: str) -> None:
        if array.null_count:
            raise DataError(f"{self.path}: column {name!r} has empty (null) entries")


def _names(name: str, kind: pa.DataType) -> Iterator[str]:
    """Yield the names of a column: its own, or those of the members of its structures."""
    inner = kind
    while isinstance(inner, _LISTS):
        inner = inner.value_type
    if isinstance(inner, pa.StructType):
        yield from (f"{name}.{field.name}" for field in inner)
    else:
        yield name
