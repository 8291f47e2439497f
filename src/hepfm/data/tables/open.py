"""Any file as a table, by its first bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hepfm.core.errors import DataError
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.hdf5 import Hdf5Table
from hepfm.data.tables.numpy_file import NumpyTable
from hepfm.data.tables.parquet import ParquetTable
from hepfm.data.tables.root import RootTable

_BEGINS: dict[bytes, Callable[[Path, str | None], FileTable]] = {
    b"root": RootTable,
    b"PAR1": ParquetTable,
    b"\x89HDF": Hdf5Table,
    b"\x93NUM": NumpyTable,
    b"PK\x03\x04": NumpyTable,
}
"""Kind of file by its first four bytes; names of files say less."""


def open_table(path: Path, name: str | None = None) -> FileTable:
    """Open a ROOT, Parquet, HDF5 or NumPy file.

    Parameters
    ----------
    path
        The file.
    name
        Which tree or table of it, where there are several.

    Raises
    ------
    DataError
        When it is none of these, or has no such tree or table.
    """
    with path.open("rb") as file:
        begin = file.read(4)
    if begin not in _BEGINS:
        raise DataError(f"{path} is no ROOT, Parquet, HDF5 or NumPy file: it begins with {begin!r}")
    return _BEGINS[begin](path, name)
