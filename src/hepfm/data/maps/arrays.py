"""Arrays of a file on their way to columns: flat, in order, in the stored type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Schema
from hepfm.data.readers.base import momentum_fields, sort_falling
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import JET_FIELDS


@dataclass(frozen=True)
class Piece:
    """Rows of a file on their way.

    Attributes
    ----------
    columns
        Of the file, without fixed shapes.
    fixed
        Names of those that had one.
    rows
        Number of the rows.
    row_R
        The row of the file that each comes from.
    path
        The file.
    """

    columns: Mapping[str, Any]
    fixed: frozenset[str]
    rows: int
    row_R: Array
    path: DataFile


def piece_of(columns: Mapping[str, Any], path: DataFile, first_row: int) -> Piece:
    """Return columns of a file, awkward arrays, as rows on their way, from the number of the first of them.

    Floating-point numbers become those of double precision, so that momenta and angles lose nothing on their
    way to single precision.
    """
    import awkward as ak

    fixed = frozenset(
        name for name, array in columns.items() if "var" not in str(array.type) and array.ndim > 1
    )
    made = {name: double(ak.from_regular(array, axis=None)) for name, array in columns.items()}
    rows = len(next(iter(made.values())))
    return Piece(made, fixed, rows, np.arange(first_row, first_row + rows), path)


def double(array: Any) -> Any:
    """Return floating-point numbers in double precision, whole numbers as they are."""
    import awkward as ak

    return ak.values_astype(array, np.float64) if "float" in str(array.type) else array


def any_of_last(values: Any) -> Any:
    import awkward as ak

    return ak.any(values, axis=-1)


def lengths_of(shape: Any) -> Array:
    import awkward as ak

    return np.asarray(ak.num(shape, axis=1))


def unfolded(columns: dict[str, Any], by: str, row_R: Array, path: DataFile) -> tuple[dict[str, Any], Array]:
    """Return the entries of lists as rows, and the file's row of each; numbers of the event are repeated."""
    import awkward as ak

    if columns[by].ndim < 2:
        raise DataError(f"{path}: unfold: {by!r} holds no lists")
    count = lengths_of(columns[by])
    made = {}
    for name, array in columns.items():
        if array.ndim == 1:
            made[name] = array[np.repeat(np.arange(len(count)), count)]
        elif np.array_equal(lengths_of(array), count):
            made[name] = ak.flatten(array, axis=1)
        else:
            raise DataError(
                f"{path}: unfold: lists of {name!r} have other numbers of entries than those of {by!r}, "
                "which become rows"
            )
    return made, np.repeat(row_R, count)


def flat(value: Any, shape: Any, piece: Piece, name: str) -> Array:
    """Return a value as one number for each row, or for each entry of lists, one after the other."""
    import awkward as ak

    ndim = getattr(value, "ndim", 0)
    if shape is None:
        if ndim > 1:
            raise DataError(
                f"{piece.path}: field {name!r} is one number of each row, and {value.type} is a list"
            )
        return np.broadcast_to(np.asarray(value), (piece.rows,))
    if ndim > 2:
        raise DataError(
            f"{piece.path}: field {name!r} holds lists of lists: {value.type}; is 'unfold' missing"
        )
    try:
        return np.asarray(ak.flatten(ak.broadcast_arrays(value, shape)[0], axis=1))
    except ValueError:
        raise DataError(
            f"{piece.path}: lists of {name!r} have other lengths than those of the other fields"
        ) from None


def typed(values: Array, field: Field, path: DataFile, rows: Array) -> Array:
    """Return values in the stored type; whole numbers and flags must be such."""
    wanted = np.dtype(field.dtype)
    if wanted.kind == "f" or values.dtype.kind in "iub":
        with np.errstate(over="ignore"):
            return values.astype(wanted) if wanted.kind in "fb" else values
    bad = values != np.rint(values)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{path}: field {field.name!r}, row {rows[first]}: {values[first]:g} is no whole number"
        )
    return values.astype(wanted)


def sums_of_constituents(fields: Mapping[str, Array | Ragged]) -> dict[str, Array | Ragged]:
    """Return the jets that constituents make together; raise `ConfigError` without their momenta."""
    names = ("part_pt", "part_eta", "part_phi", "part_energy")
    parts = [fields.get(name) for name in names]
    if not all(isinstance(part, Ragged) for part in parts):
        raise ConfigError(f"jet: 'sum' needs the fields {', '.join(names)}")
    pt, eta, phi, energy = (part for part in parts if isinstance(part, Ragged))
    row, rows = pt.row_index(), len(pt)
    p, y, f = (part.values.astype(np.float64) for part in (pt, eta, phi))
    px, py, pz = (np.bincount(row, part, rows) for part in (p * np.cos(f), p * np.sin(f), p * np.sinh(y)))
    jets = (*momentum_fields(px, py, pz), np.bincount(row, energy.values, rows).astype(np.float32))
    return {field.name: values for field, values in zip(JET_FIELDS, jets, strict=True)}


def sorted_lists(fields: dict[str, Array | Ragged], name: str, schema: Schema) -> dict[str, Array | Ragged]:
    level = schema[name].level
    lists = {key: value for key, value in fields.items() if key in schema and schema[key].level is level}
    return {**fields, **sort_falling(lists, name)}


def selected(fields: dict[str, Array | Ragged], keep: Array | None) -> dict[str, Array | Ragged]:
    if keep is None or keep.all():
        return fields
    return {
        name: value.take(keep) if isinstance(value, Ragged) else value[keep] for name, value in fields.items()
    }
