"""Columns of ROOT trees and Parquet files in pieces, without regard to what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepfm.core.errors import DataError, missing_extra
from hepfm.core.ragged import Array, Columns, Ragged

CHUNK_ROWS = 20_000


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"cannot read {path} as Parquet: {error}") from None
        self.names: list[str] = self._file.schema_arrow.names
        self.num_rows: int = self._file.metadata.num_rows

    def chunks(self, names: Sequence[str]) -> Iterator[Columns]:
        """Yield the columns called `names`, `CHUNK_ROWS` rows at a time."""
        for batch in self._file.iter_batches(CHUNK_ROWS, columns=list(names)):
            yield {name: self._column(batch.column(name), name) for name in names}

    def _column(self, array: pa.Array, name: str) -> Array | Ragged:
        lists = isinstance(array, pa.ListArray | pa.LargeListArray)
        values = array.flatten() if lists else array
        if array.null_count or values.null_count:
            raise DataError(f"{self.path}: column {name!r} has empty (null) entries")
        plain = values.to_numpy(zero_copy_only=False)
        lengths = array.value_lengths().to_numpy(zero_copy_only=False) if lists else None
        return plain if lengths is None else Ragged.from_lengths(plain, lengths)


class RootTable:
    """The tree of a ROOT file."""

    def __init__(self, path: Path, tree: str = "tree") -> None:
        try:
            import uproot
        except ImportError:
            raise missing_extra("uproot", "io") from None
        self.path = path
        try:
            file: Any = uproot.open(path)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"cannot read {path} as ROOT: {error}") from None
        if tree not in file:
            raise DataError(f"{path} has no tree {tree!r}; it has: {', '.join(file.keys()) or 'nothing'}")
        self._tree = file[tree]
        self.names: list[str] = self._tree.keys()
        self.num_rows: int = self._tree.num_entries

    def chunks(self, names: Sequence[str]) -> Iterator[Columns]:
        """Yield the columns called `names`, `CHUNK_ROWS` rows at a time."""
        for start in range(0, self.num_rows, CHUNK_ROWS):
            arrays = self._tree.arrays(list(names), entry_start=start, entry_stop=start + CHUNK_ROWS)
            yield {name: _from_awkward(arrays[name]) for name in names}


def _from_awkward(array: Any) -> Array | Ragged:
    import awkward as ak

    if array.ndim == 1:
        return np.asarray(ak.to_numpy(array))
    return Ragged.from_lengths(ak.to_numpy(ak.flatten(array)), ak.to_numpy(ak.num(array)))


def open_table(path: Path) -> ParquetTable | RootTable:
    """Open a file by its ending, ``.parquet`` or ``.root``."""
    if path.suffix == ".parquet":
        return ParquetTable(path)
    if path.suffix == ".root":
        return RootTable(path)
    raise DataError(f"cannot tell the format of {path}: its name must end in .root or .parquet")
