"""ROOT and Parquet files written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepfm.core.errors import missing_extra
from hepfm.core.ragged import Array, Columns, Ragged


class Sink(Protocol):
    """An open file."""

    def write(self, columns: Columns) -> None:
        """Add rows."""


@contextmanager
def open_sink(path: Path, suffix: str, branches: Mapping[str, str]) -> Iterator[Sink]:
    """Open a file for branches of the given NumPy types, in this order.

    Parameters
    ----------
    path
        File to make; its name may be temporary.
    suffix
        ``".root"`` or ``".parquet"``.
    branches
        Type of each branch.
    """
    sink = _RootSink(path, branches) if suffix == ".root" else _ParquetSink(path)
    try:
        yield sink
    finally:
        sink.close()


class _ParquetSink:
    """A Parquet file, zstd, one row group per piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: Columns) -> None:
        arrays = {name: _arrow(column) for name, column in columns.items()}
        fields = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
        table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _arrow(column: Array | Ragged) -> pa.Array:
    if not isinstance(column, Ragged):
        return pa.array(column)
    values = pa.array(column.values)
    kind = pa.list_(pa.field("item", values.type, nullable=False))
    return pa.ListArray.from_arrays(pa.array(column.offsets.astype(np.int32)), values, type=kind)


def _counter(branch: str) -> str:
    return f"{branch.split('_')[0]}_n"


class _RootSink:
    """A ROOT file with the tree ``tree``, LZ4; lists share the counter ``part_n``."""

    def __init__(self, path: Path, branches: Mapping[str, str]) -> None:
        try:
            import awkward
            import uproot
        except ImportError:
            raise missing_extra("uproot", "io") from None
        self._awkward: Any = awkward
        self._branches = branches
        self._file: Any = uproot.recreate(path, compression=uproot.LZ4(4))
        self._tree: Any = None

    def write(self, columns: Columns) -> None:
        data: dict[str, Any] = {}
        for name, column in columns.items():
            data[name] = jagged(self._awkward, column) if isinstance(column, Ragged) else column
        if self._tree is None:
            kinds = {
                name: f"var * {kind}" if isinstance(columns[name], Ragged) else kind
                for name, kind in self._branches.items()
            }
            self._tree = self._file.mktree("tree", kinds, counter_name=_counter)
        self._tree.extend(data)

    def close(self) -> None:
        self._file.close()


def jagged(awkward: Any, column: Ragged) -> Any:
    """Return lists as an array of awkward, the module, without a copy."""
    offsets = awkward.index.Index64(column.offsets)
    contents = awkward.contents
    return awkward.Array(contents.ListOffsetArray(offsets, contents.NumpyArray(column.values)))
