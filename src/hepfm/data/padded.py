"""Padded arrays in HDF5 files, written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hepfm.core.ragged import Array, Columns, Ragged, gather_index
from hepfm.data.exporters.hdf5_file import Hdf5File, create_hdf5


def padded(columns: Mapping[str, Ragged], slots: int) -> tuple[Array, Array]:
    """Return lists in slots, float32 of shape (R, `slots`, columns), and how many of each row are real.

    Longer rows keep their first entries.
    """
    first = next(iter(columns.values()))
    lengths = np.minimum(first.lengths, slots)
    index, _ = gather_index(first.offsets[:-1], lengths)
    real = np.arange(slots) < lengths[:, None]
    out = np.zeros((len(lengths), slots, len(columns)), np.float32)
    for place, column in enumerate(columns.values()):
        out[..., place][real] = column.values[index]
    return out, lengths


class Hdf5Sink:
    """An open HDF5 file whose data sets grow, gzip."""

    def __init__(self, opened: Hdf5File, attributes: Mapping[str, str]) -> None:
        self._opened, self._file = opened, opened.file
        # Of fixed length: HDF5 may look for texts of variable length for ever in a damaged file.
        self._file.attrs.update({name: np.bytes_(text.encode()) for name, text in attributes.items()})

    def write(self, columns: Columns) -> None:
        """Add rows, one array per data set."""
        for name, array in columns.items():
            values = np.asarray(array)
            if name not in self._file:
                shape = (None, *values.shape[1:])
                self._file.create_dataset(
                    name, data=values, maxshape=shape, compression="gzip", compression_opts=1, shuffle=True
                )
            else:
                data = self._file[name]
                data.resize(len(data) + len(values), axis=0)
                data[-len(values) :] = values
            self._opened.check()


@contextmanager
def open_hdf5_sink(path: Path, attributes: Mapping[str, str]) -> Iterator[Hdf5Sink]:
    """Open a new file with text attributes."""
    with create_hdf5(path) as opened:
        yield Hdf5Sink(opened, attributes)
