"""The arrays of a NumPy file: one, or the named ones of an ``.npz``. Pickled objects are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hepfm.data.tables.arrays import ArraysTable, Column


class NumpyTable(ArraysTable):
    """A ``.npy`` file, whose array is called ``data``, or the arrays of an ``.npz`` file.

    An ``.npy`` file is mapped into memory; an array of an ``.npz`` file can only be read whole.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        super().__init__(path)
        file = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(file, np.ndarray):
            self.columns = _columns("data", file)
        else:
            self.opened.enter_context(file)
            self.columns = {
                name: column for key in file.files for name, column in _columns(key, file[key]).items()
            }
        self.names = tuple(self.columns)


def _columns(name: str, array: np.ndarray) -> dict[str, Column]:
    if array.dtype.names is None:
        return {name: Column(array)}
    return {f"{name}.{field}": Column(array, field) for field in array.dtype.names}
