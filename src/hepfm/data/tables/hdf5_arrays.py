"""HDF5 files of padded arrays: what the readers of such formats share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hepfm.core.errors import DataError, missing_extra
from hepfm.data.remote import DataFile, readable

CHUNK_ROWS = 10_000


@contextmanager
def open_hdf5(path: DataFile) -> Iterator[Any]:
    """Open a file for reading; raise `DataError` when it is not HDF5."""
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "io") from None
    try:
        file = h5py.File(readable(path))
    except OSError as error:
        raise DataError(f"cannot read {path} as HDF5: {error}") from None
    with file:
        yield file


def array_of(file: Any, name: str, path: DataFile, *, shape: str) -> Any:
    """Return a data set of a file, still on disk.

    Parameters
    ----------
    file
        The open file.
    name
        Name of the data set.
    path
        The file, for messages.
    shape
        What its shape must look like, one word a dimension, e.g. ``"N M 4"``: a number must be that, a name
        may be any.

    Raises
    ------
    DataError
        When there is none, or its shape does not fit.
    """
    if name not in file:
        raise DataError(f"{path} has no data set {name!r}; it has: {', '.join(file) or 'nothing'}")
    array = file[name]
    words = shape.split()
    found = getattr(array, "shape", ())
    fits = len(found) == len(words) and all(
        not word.isdigit() or int(word) == size for word, size in zip(words, found, strict=True)
    )
    if not fits or array.dtype.kind not in "iufb":
        raise DataError(f"{path}: data set {name!r} has shape {found}, expected numbers of ({shape})")
    return array


def attribute_of(item: Any, name: str, path: DataFile) -> Any:
    """Return an attribute of a file or a data set; None when there is none.

    Raises
    ------
    DataError
        For one of variable length: libhdf5 follows such lists through a heap, and in a damaged file it does
        so for ever. Data sets of variable length are refused by `array_of`.
    """
    if name not in item.attrs:
        return None
    refuse_variable_length(item.attrs.get_id(name).dtype, f"attribute {name!r}", path)
    return item.attrs[name]


def refuse_variable_length(dtype: Any, what: str, path: DataFile) -> None:
    """Raise `DataError` for a type of variable length, whose values are not read; see `attribute_of`."""
    if dtype.hasobject:
        raise DataError(
            f"{path}: {what} is of variable length, which is not read from HDF5; write it with a fixed "
            "length, text as numpy.bytes_"
        )


def same_rows(path: DataFile, **arrays: Any) -> int:
    """Return the number of rows of arrays; raise `DataError` unless it is the same for all."""
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{path}: data sets with different numbers of rows: {sizes}")
    return next(iter(sizes.values()))
