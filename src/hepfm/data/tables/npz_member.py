"""An array of an ``.npz`` file, read some rows at a time, so that memory is flat in the size of the file."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""How the header of each version is read; that of others, which NumPy does not show, means a whole read."""


class NpzMember:
    """An array on disk: it has a `shape` and a `dtype`, and gives slices of rows.

    Reading forward decompresses nothing twice. Arrays in Fortran's order are read whole: their rows do not
    lie together.

    Parameters
    ----------
    archive
        The open file.
    name
        Of the member, with its ending ``.npy``.

    Raises
    ------
    ValueError, DataError
        When it holds pickled objects, or is no NumPy array.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive, self._name = archive, name
        self._last: tuple[slice, Array] | None = None
        self._whole: Array | None = None
        self._stream = archive.open(name)
        version = npy.read_magic(self._stream)
        if version in _HEADERS:
            self.shape, fortran, self.dtype = _HEADERS[version](self._stream)
            self._begin = self._stream.tell()
        if version not in _HEADERS or (fortran and len(self.shape) > 1) or not self.shape:
            self._whole = self._read_whole()
            self.shape, self.dtype = self._whole.shape, self._whole.dtype
        if any(size < 0 for size in self.shape):
            raise DataError(f"member {name} has the shape {self.shape}")

    def __getitem__(self, rows: slice) -> Array:
        if self._whole is not None:
            return self._whole[rows]
        if self._last is None or self._last[0] != rows:
            self._last = rows, self._read(*rows.indices(self.shape[0])[:2])
        return self._last[1]

    def fields(self, name: str) -> NpzField:
        """Return a field of a structured array."""
        return NpzField(self, name)

    def _read(self, start: int, stop: int) -> Array:
        if self.dtype.hasobject:
            raise DataError(f"member {self._name} holds pickled objects, which are not read")
        stop = max(start, stop)
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        place = self._begin + start * size
        if self._stream.tell() != place:  # seeking, even to where it is, ends the comparison of checksums
            self._stream.seek(place)
        content = self._stream.read((stop - start) * size)
        if len(content) != (stop - start) * size:
            raise DataError(f"member {self._name} ends before its row {stop}")
        return np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape[1:])

    def _read_whole(self) -> Array:
        with self._archive.open(self._name) as stream:
            return np.asarray(npy.read_array(io.BytesIO(stream.read()), allow_pickle=False))


class NpzField:
    """A field of a structured array on disk, read by slices of rows."""

    def __init__(self, member: NpzMember, name: str) -> None:
        self._member, self._name = member, name

    def __getitem__(self, rows: slice) -> Any:
        return self._member[rows][self._name]
