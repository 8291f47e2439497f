"""Any file as a table, by its first bytes."""

from __future__ import annotations

from collections.abc import Callable

from hepfm.core.errors import DataError
from hepfm.data.remote import DataFile, RemoteFile
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.hdf5 import Hdf5Table
from hepfm.data.tables.kept import kept
from hepfm.data.tables.numpy_file import NumpyTable
from hepfm.data.tables.parquet import ParquetTable
from hepfm.data.tables.root import RootTable

_BEGINS: dict[bytes, Callable[[DataFile, str | None], FileTable]] = {
    b"root": RootTable,
    b"PAR1": ParquetTable,
    b"\x89HDF": Hdf5Table,
    b"\x93NUM": NumpyTable,
    b"PK\x03\x04": NumpyTable,
}
"""Kind of file by its first four bytes; names of files say less."""


def open_table(path: DataFile, name: str | None = None) -> FileTable:
    """Open a ROOT, Parquet, HDF5 or NumPy file.

    Parameters
    ----------
    path
        The file, local or on a server.
    name
        Which tree or table of it, where there are several.

    Raises
    ------
    DataError
        When it is none of these, or has no such tree or table.
    """
    return kept((str(path), name, *_state(path)), lambda: _opened(path, name))


def _opened(path: DataFile, name: str | None) -> FileTable:
    with path.open("rb") as file:
        begin = file.read(4)
    if begin not in _BEGINS:
        raise DataError(f"{path} is no ROOT, Parquet, HDF5 or NumPy file: it begins with {begin!r}")
    return _BEGINS[begin](path, name)


def _state(path: DataFile) -> tuple[object, ...]:
    """Return what differs where a file of the same name is another one."""
    if isinstance(path, RemoteFile):
        return path.url, path.version
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
