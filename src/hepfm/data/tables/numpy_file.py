"""The arrays of a NumPy file: one, or the named ones of an ``.npz``. Pickled objects are refused."""

from __future__ import annotations

import numpy as np

from hepfm.data.remote import RemoteFile
from hepfm.data.tables.arrays import ArrayColumn, ArraysTable

_ZIP = b"PK"
"""What an ``.npz`` file begins with."""


class NumpyTable(ArraysTable):
    """A ``.npy`` file, whose array is called ``data``, or the arrays of an ``.npz`` file.

    A local ``.npy`` file is mapped into memory; a remote one, and an array of an ``.npz`` file, can only be
    read whole.
    """

    def _open(self, name: str | None) -> None:
        begin = self.opened.enter_context(self.path.open("rb"))
        is_zip = begin.read(len(_ZIP)) == _ZIP
        begin.seek(0)
        if is_zip:
            file = np.load(begin, allow_pickle=False)
            made = [_columns(key, file[key]) for key in file.files]
            self.columns = {name: column for columns in made for name, column in columns.items()}
        elif isinstance(self.path, RemoteFile):
            self.columns = _columns("data", np.load(begin, allow_pickle=False))
        else:
            self.columns = _columns("data", np.load(self.path, mmap_mode="r", allow_pickle=False))
        self.names = tuple(self.columns)


def _columns(name: str, array: np.ndarray) -> dict[str, ArrayColumn]:
    if array.dtype.names is None:
        return {name: ArrayColumn(array)}
    return {f"{name}.{field}": ArrayColumn(array, field) for field in array.dtype.names}
