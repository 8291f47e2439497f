"""Columns from what users hold in memory: NumPy, lists, awkward, pandas and Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged


def to_column(values: Any, *, name: str, ragged: bool, where: str) -> Array | Ragged:
    """Return values as an array, or as a `Ragged` where each row holds a list.

    Parameters
    ----------
    values
        A NumPy array (of two dimensions for lists of equal length), Python lists, a `Ragged`, an awkward
        array, a pandas series, or an Arrow array.
    name
        Of the field, for messages.
    ragged
        Whether each row holds a list.
    where
        Of what the values are a part, for messages.

    Raises
    ------
    DataError
        When values are missing, are not numbers, or are nested otherwise than `ragged` says.
    """
    if isinstance(values, Ragged):
        return values
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _from_numpy(values, name=name, ragged=ragged, where=where)
    return _from_arrow(_arrow(values, name, where), name=name, ragged=ragged, where=where)


def _from_numpy(values: Array, *, name: str, ragged: bool, where: str) -> Array | Ragged:
    if values.ndim != (2 if ragged else 1):
        raise _nested(f"an array of shape {values.shape}", name, ragged, where)
    if not ragged:
        return values
    return Ragged.from_lengths(values.reshape(-1), np.full(len(values), values.shape[1]))


def _arrow(values: Any, name: str, where: str) -> pa.Array:
    """Return values as one Arrow array without missing entries."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    if type(values).__module__.partition(".")[0] == "awkward":
        import awkward

        return awkward.to_arrow(values, extensionarray=False)
    try:
        return pa.array(list(values))
    except (pa.ArrowException, TypeError) as error:
        raise DataError(
            f"{where}: field {name!r} cannot be read as numbers or lists of them: {error}"
        ) from None


def _from_arrow(array: pa.Array, *, name: str, ragged: bool, where: str) -> Array | Ragged:
    if pa.types.is_fixed_size_list(array.type) or pa.types.is_large_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    _refuse_missing(array, name, where)
    is_list = pa.types.is_list(array.type)
    # Python rows that are all empty tell no type.
    if is_list != ragged and not (len(array) == 0 or pa.types.is_null(array.type)):
        raise _nested(f"values of type {array.type}", name, ragged, where)
    if not is_list:
        values = _numbers(array, name, where)
        return Ragged(values, np.zeros(1, np.int64)) if ragged else values
    entries = array.flatten()
    _refuse_missing(entries, name, where)
    lengths = np.diff(array.offsets.to_numpy().astype(np.int64))
    return Ragged.from_lengths(_numbers(entries, name, where), lengths)


def _numbers(array: pa.Array, name: str, where: str) -> Array:
    if pa.types.is_null(array.type):
        return np.zeros(0, np.float32)
    if pa.types.is_dictionary(array.type) or not (
        pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)
    ):
        raise DataError(
            f"{where}: field {name!r} must hold numbers, got {array.type}; classes are given by their "
            "numbers, in the order of the schema's class names"
        )
    return array.to_numpy(zero_copy_only=False)


def _refuse_missing(array: pa.Array, name: str, where: str) -> None:
    if array.null_count and len(array):
        first = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(
            f"{where}: field {name!r} has {array.null_count} missing values, the first at place {first}; "
            "fill them or drop those rows"
        )


def _nested(given: str, name: str, ragged: bool, where: str) -> DataError:
    expected = "a list of numbers a row" if ragged else "one number a row"
    return DataError(f"{where}: field {name!r} must hold {expected}, got {given}")
