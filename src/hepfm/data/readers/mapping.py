"""Any file of columns, with a map of what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data.maps.config import MapConfig
from hepfm.data.maps.mapper import Mapper
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.open import open_table

_FIRST_ROWS = 100
"""Rows that show which columns are lists."""


class MappingReader:
    """Reads ROOT, Parquet, HDF5 and NumPy files of any layout, as a map says."""

    endings: ClassVar[tuple[str, ...]] = (".root", ".parquet", ".pq", ".h5", ".hdf5", ".npy", ".npz")
    Config = MapConfig

    def __init__(self, config: MapConfig) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title of the map."""
        return {"title": self.config.title}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of the fields of the map."""
        with self._open(path) as table:
            mapper = Mapper(self.config, table.names)
            return mapper.schema(_first(table, mapper), path)

    def num_rows(self, path: DataFile) -> int | None:
        """Return the number of rows of a file; None where the map leaves out or unfolds some."""
        label = self.config.label
        if self.config.select or self.config.unfold or (label is not None and label.drop):
            return None
        with self._open(path) as table:
            return table.num_rows(Mapper(self.config, table.names).needed)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the rows of a file that are kept."""
        with self._open(path) as table:
            mapper = Mapper(self.config, table.names)
            schema = mapper.schema(_first(table, mapper), path)
            first_row = 0
            for piece in table.chunks(mapper.needed):
                yield mapper.columns(piece, schema, path=path, first_row=first_row)
                first_row += len(next(iter(piece.values())))

    def _open(self, path: DataFile) -> FileTable:
        return open_table(path, self.config.tree)


def _first(table: FileTable, mapper: Mapper) -> dict[str, Any]:
    piece = next(iter(table.chunks(mapper.needed, _FIRST_ROWS)), None)
    if piece is None:
        raise DataError(f"{table.path} has no rows; leave it out")
    return piece
