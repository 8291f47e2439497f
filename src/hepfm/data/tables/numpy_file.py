"""The arrays of a NumPy file: one, or the named ones of an ``.npz``. Pickled objects are refused."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np

from hepfm.data.remote import RemoteFile
from hepfm.data.tables.arrays import ArrayColumn, ArraysTable
from hepfm.data.tables.npz_member import NpzMember

_ZIP = b"PK"
"""What an ``.npz`` file begins with."""
_ENDING = ".npy"


class NumpyTable(ArraysTable):
    """A ``.npy`` file, whose array is called ``data``, or the arrays of an ``.npz`` file.

    A local ``.npy`` file is mapped into memory, a remote one read whole; arrays of an ``.npz`` file are read
    in pieces.
    """

    def _open(self, name: str | None) -> None:
        begin = self.opened.enter_context(self.path.open("rb"))
        is_zip = begin.read(len(_ZIP)) == _ZIP
        begin.seek(0)
        if is_zip:
            archive = self.opened.enter_context(zipfile.ZipFile(begin))
            arrays = [member for member in archive.namelist() if member.endswith(_ENDING)]
            made = [_columns(key.removesuffix(_ENDING), NpzMember(archive, key)) for key in arrays]
            self.columns = {name: column for columns in made for name, column in columns.items()}
        elif isinstance(self.path, RemoteFile):
            self.columns = _columns("data", np.load(begin, allow_pickle=False))
        else:
            self.columns = _columns("data", np.load(self.path, mmap_mode="r", allow_pickle=False))
        self.names = tuple(self.columns)


def _columns(name: str, array: Any) -> dict[str, ArrayColumn]:
    if array.dtype.names is None:
        return {name: ArrayColumn(array)}
    return {f"{name}.{field}": ArrayColumn(array, field) for field in array.dtype.names}
