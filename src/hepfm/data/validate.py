"""What columns must satisfy to be in a store: names, lengths, finite numbers, classes, angles, order."""

from __future__ import annotations

import numpy as np

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Field, Kind, Level, Schema

SORTED_FALLING = ("part_pt", "hit_energy")
"""Constituents come in falling order of these fields, so that a cut on their number keeps the hardest.
Objects of events come in falling order of ``object_pt`` within each level, reconstructed ones first."""

OBJECT_PT, OBJECT_LEVEL = "object_pt", "object_level"

_PI = float(np.nextafter(np.float32(np.pi), np.float32(4)))


def prepare(schema: Schema, columns: Columns, *, where: str, first_row: int = 0) -> dict[str, Array | Ragged]:
    """Check columns against a schema and return them in the stored types.

    Parameters
    ----------
    schema
        What the columns must be.
    columns
        One array or `Ragged` per field.
    where
        What is being written or read, for the message.
    first_row
        Number of the first row there.

    Raises
    ------
    DataError
        On the first thing that is wrong, with field and row.
    """
    _check_names(schema, columns, where)
    cast = {field.name: _cast(field, columns[field.name], where) for field in schema}
    check(schema, cast, where=where, first_row=first_row)
    return cast


def check(schema: Schema, columns: Columns, *, where: str, first_row: int = 0) -> None:
    """Raise `DataError` unless columns of the stored types satisfy every rule of a store."""
    _check_lengths(schema, columns, where)
    for field in schema:
        _check_values(field, columns[field.name], where, first_row)
    for name in SORTED_FALLING:
        if name in schema and schema[name].level is Level.CONSTITUENT:
            _check_order(name, columns[name], where, first_row)
    if OBJECT_PT in schema and schema.is_ragged(OBJECT_PT):
        _check_objects(columns, where, first_row)


def _check_names(schema: Schema, columns: Columns, where: str) -> None:
    for name in columns:
        if name not in schema:
            raise DataError(f"{where}: no field {name!r} in the schema{did_you_mean(name, schema.names())}")
    missing = [name for name in schema.names() if name not in columns]
    if missing:
        raise DataError(f"{where}: fields of the schema without a column: {', '.join(missing)}")


def _cast(field: Field, column: Array | Ragged, where: str) -> Array | Ragged:
    values = np.asarray(column.values if isinstance(column, Ragged) else column)
    if values.dtype.kind not in "biuf" or (np.dtype(field.dtype).kind in "iub" and values.dtype.kind == "f"):
        raise DataError(f"{where}: field {field.name!r} holds {field.dtype}, got {values.dtype}")
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(values, dtype=field.dtype)
    if cast.dtype.kind in "iub" and not np.array_equal(cast, values):
        raise DataError(f"{where}: field {field.name!r} has values that do not fit into {field.dtype}")
    return column.with_values(cast) if isinstance(column, Ragged) else cast


def _check_lengths(schema: Schema, columns: Columns, where: str) -> None:
    rows = {name: len(column) for name, column in columns.items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"{where}: columns with different numbers of rows: {rows}")
    first: dict[str, str] = {}
    for field in schema:
        column = columns[field.name]
        if isinstance(column, Ragged) != schema.is_ragged(field.name):
            expected = "lists (Ragged)" if schema.is_ragged(field.name) else "one value a row"
            raise DataError(f"{where}: field {field.name!r} ({field.level}) must hold {expected}")
        if isinstance(column, Ragged):
            _check_offsets(field.name, column, where)
            other = columns[first.setdefault(field.level, field.name)]
            if not np.array_equal(column.offsets, other.offsets if isinstance(other, Ragged) else ()):
                raise DataError(
                    f"{where}: lists of {field.name!r} and {first[field.level]!r} differ in length"
                )


def _check_offsets(name: str, column: Ragged, where: str) -> None:
    offsets = column.offsets
    if offsets[0] != 0 or offsets[-1] != len(column.values) or (np.diff(offsets) < 0).any():
        raise DataError(f"{where}: offsets of {name!r} do not rise from 0 to the number of values")


def _check_values(field: Field, column: Array | Ragged, where: str, first_row: int) -> None:
    values = column.values if isinstance(column, Ragged) else column
    if values.dtype.kind == "f":
        _refuse(~np.isfinite(values), field, column, where, first_row, "must be finite")
    if field.kind is Kind.CATEGORICAL:
        bad = (values < 0) | (values >= len(field.classes))
        rule = f"must be a class number from 0 to {len(field.classes) - 1}"
        _refuse(bad, field, column, where, first_row, rule)
    if field.kind is Kind.ANGLE:
        _refuse(np.abs(values) > _PI, field, column, where, first_row, "must be an angle in (-pi, pi]")


def _refuse(bad: Array, field: Field, column: Array | Ragged, where: str, first_row: int, rule: str) -> None:
    if not bad.any():
        return
    index = row = int(np.argmax(bad))
    values, entry = (column.values if isinstance(column, Ragged) else column), ""
    if isinstance(column, Ragged):
        row, place = _place(column, index)
        entry = f", {field.level} {place}"
    number = int(bad.sum())
    raise DataError(
        f"{where}: field {field.name!r}, row {first_row + row}{entry}: {values[index]} {rule} "
        f"({number} such values)"
    )


def _check_order(name: str, column: Array | Ragged, where: str, first_row: int) -> None:
    if not isinstance(column, Ragged) or len(column.values) < 2:
        return
    rises = (np.diff(column.values) > 0) & _same_row(column)
    if rises.any():
        row, _ = _place(column, int(np.argmax(rises)))
        raise DataError(f"{where}: constituents of row {first_row + row} are not in falling order of {name}")


def _check_objects(columns: Columns, where: str, first_row: int) -> None:
    """Refuse objects that are not in falling order of pt within their level, reconstructed ones first."""
    pt, level = columns[OBJECT_PT], columns.get(OBJECT_LEVEL)
    if not isinstance(pt, Ragged) or len(pt.values) < 2:
        return
    step = np.diff(level.values.astype(np.int64)) if isinstance(level, Ragged) else np.int64(0)
    same = _same_row(pt)
    for bad, rule in (
        (same & (step < 0), "is reconstructed and stands behind generator objects; these come last"),
        (
            same & (step == 0) & (np.diff(pt.values) > 0),
            "has a greater pt than the one before it in its level",
        ),
    ):
        if bad.any():
            row, place = _place(pt, int(np.argmax(bad)) + 1)
            raise DataError(
                f"{where}: objects of row {first_row + row} are not in order: object {place} {rule} "
                f"({int(bad.sum())} such); sort the objects of each event by level, then by falling pt"
            )


def _same_row(column: Ragged) -> Array:
    """Return which values but the first are of the same row as the one before, (values - 1,)."""
    same = np.ones(len(column.values) - 1, bool)
    starts = column.offsets[1:-1]
    inner = starts[(starts > 0) & (starts < len(column.values))]
    same[inner - 1] = False
    return same


def _place(column: Ragged, index: int) -> tuple[int, int]:
    """Return the row of a value, and its place in the list of it."""
    row = int(np.searchsorted(column.offsets, index, side="right")) - 1
    return row, index - int(column.offsets[row])
