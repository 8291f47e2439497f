"""From columns of a file to fields of a store, as a map says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.maps.classes import UNKNOWN, from_codes, from_flags, of_file, refuse_unknown
from hepfm.data.maps.config import PDG, FieldMap, MapConfig
from hepfm.data.maps.expression import SLOT, Expression
from hepfm.data.maps.known import GROUP, KNOWN, LABEL, WEIGHT
from hepfm.data.maps.units import factor
from hepfm.data.readers.base import momentum_fields, sort_falling
from hepfm.data.readers.physics import particle_types
from hepfm.data.schemas.jets import JET_FIELDS, PID_CLASSES
from hepfm.data.validate import SORTED_FALLING


@dataclass(frozen=True)
class _Source:
    """A field with the expressions that it is made of: one, or one for each flag."""

    spec: FieldMap
    expressions: tuple[Expression, ...]


@dataclass(frozen=True)
class _Piece:
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
    path: Path


class Mapper:
    """Makes fields from columns of files that have certain names.

    Parameters
    ----------
    config
        The map.
    names
        Columns of the file.

    Raises
    ------
    ConfigError
        When the map names columns that the file lacks, or has no sense.
    """

    def __init__(self, config: MapConfig, names: Iterable[str]) -> None:
        self.config, self.names = config, tuple(names)
        specs = {**config.fields, **config.observers}
        self.sources = {name: self._source(name, spec) for name, spec in specs.items()}
        if config.weight is not None:
            self.sources[WEIGHT.name] = self._source(WEIGHT.name, FieldMap(take=config.weight))
        if config.group is not None:
            self.sources[GROUP.name] = self._source(GROUP.name, FieldMap(take=config.group))
        self._label = config.label and not config.label.files and self._source(LABEL, config.label)
        extra = (config.select, config.select_constituents, None if self._plain_padding else config.padding)
        self._extra = {
            text: self._expression("select or padding", text) for text in extra if text is not None
        }
        made = [part for source in self.sources.values() for part in source.expressions]
        made += [*self._extra.values(), *(self._label.expressions if self._label else ())]
        unfold = {config.unfold} if config.unfold is not None else set()
        if unfold - set(self.names):
            raise ConfigError(
                f"unfold: the file has no {config.unfold!r}{did_you_mean(str(config.unfold), self.names)}"
            )
        self.needed = sorted(unfold.union(*(part.names for part in made)))
        if not self.needed:
            raise ConfigError("the map takes nothing from the file")

    @property
    def _plain_padding(self) -> bool:
        return self.config.padding in ("zero", "nan")

    def _source(self, name: str, spec: Any) -> Any:
        texts = list(spec.flags.values()) if spec.flags is not None else [spec.take]
        return _Source(spec, tuple(self._expression(name, text) for text in texts))

    def _expression(self, name: str, text: str) -> Expression:
        try:
            return Expression(text, self.names)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None

    def schema(self, columns: Mapping[str, Any], path: Path) -> Schema:
        """Return the schema of the store, from columns of some rows, which show what is a list."""
        piece = self._piece(columns, path, 0)
        values = {name: source.expressions[0](piece.columns) for name, source in self.sources.items()}
        fields = [self._field(name, source.spec, values[name]) for name, source in self.sources.items()]
        if self.config.jet == "sum":
            fields += [field for field in JET_FIELDS if field.name not in self.sources]
        if self.config.label is not None:
            fields.append(
                Field(LABEL, self._row, Kind.CATEGORICAL, dtype="int16", classes=self.config.label.classes)
            )
        # Fields of the rows come first, as in every schema.
        fields.sort(key=lambda field: field.level is not self._row)
        return Schema(
            tuple(fields),
            self._row,
            label=LABEL if self.config.label else None,
            weight=WEIGHT.name if self.config.weight is not None else None,
            group=GROUP.name if self.config.group is not None else None,
        )

    @property
    def _row(self) -> Level:
        return Level(self.config.rows)

    def _field(self, name: str, spec: FieldMap, values: Any) -> Field:
        known = GROUP if name == GROUP.name and self.config.group is not None else KNOWN.get(name)
        if known is not None:
            if spec.level is not None or spec.kind is not None:
                raise ConfigError(
                    f"field {name!r} is known: {known.level}, {known.kind}; give yours another name"
                )
            level = self._row if known.level is Level.OBJECT and self._row is Level.OBJECT else known.level
            return replace(known, level=level)
        ndim = getattr(values, "ndim", 0)
        level = spec.level or (Level.CONSTITUENT if ndim > 1 else self._row)
        said = spec.description or (
            f"from {spec.take}" if spec.take else f"from {', '.join(spec.flags or ())}"
        )
        if spec.classes or spec.codes == PDG:
            classes = spec.classes or PID_CLASSES
            return Field(name, level, Kind.CATEGORICAL, dtype="int16", classes=classes, description=said)
        # Numbers of runs and events have more digits than single precision.
        kind = spec.kind or (Kind.COUNT if "int" in str(getattr(values, "type", "")) else Kind.CONTINUOUS)
        dtype = {Kind.COUNT: "int64", Kind.FLAG: "bool"}.get(kind, "float32")
        return Field(name, level, kind, spec.stored_unit, dtype, description=said)

    def columns(
        self, columns: Mapping[str, Any], schema: Schema, *, path: Path, first_row: int
    ) -> dict[str, Array | Ragged]:
        """Return the fields of some rows of a file.

        Parameters
        ----------
        columns
            The columns called `needed`, awkward arrays.
        schema
            Of the store.
        path, first_row
            The file, and the number of the first of these rows in it.

        Raises
        ------
        DataError
            When lists do not fit together, or a value is none of the codes.
        """
        piece = self._piece(columns, path, first_row)
        fields: dict[str, Array | Ragged] = {}
        for level in dict.fromkeys(schema[name].level for name in self.sources):
            names = [name for name in self.sources if schema[name].level is level]
            fields |= (
                self._row_fields(names, schema, piece)
                if level is schema.row
                else self._lists(names, schema, piece)
            )
        if self.config.jet == "sum":
            fields |= {name: value for name, value in _sums(fields).items() if name not in fields}
        if self.config.label is not None:
            fields[LABEL] = self._labels(piece)
        for name in SORTED_FALLING:
            if name in fields and schema[name].level is Level.CONSTITUENT:
                fields = _sorted(fields, name, schema)
        return _selected(fields, self._kept(fields, piece))

    def _piece(self, columns: Mapping[str, Any], path: Path, first_row: int) -> _Piece:
        import awkward as ak

        fixed = frozenset(
            name for name, array in columns.items() if "var" not in str(array.type) and array.ndim > 1
        )
        # In double precision, so that momenta and angles lose nothing on their way to single precision.
        made = {name: _double(ak.from_regular(array, axis=None)) for name, array in columns.items()}
        rows = len(next(iter(made.values())))
        row_R = np.arange(first_row, first_row + rows)
        if self.config.unfold is not None:
            made, row_R = _unfolded(made, self.config.unfold, row_R, path)
        for name in self.needed:
            if made[name].ndim > 1:
                made[SLOT] = ak.local_index(made[name], axis=1)
                break
        families = {
            member
            for source in self.sources.values()
            for part in source.expressions
            for member in part.stacked
        }
        return _Piece(made, fixed | families, len(row_R), row_R, path)

    def _row_fields(self, names: list[str], schema: Schema, piece: _Piece) -> dict[str, Array | Ragged]:
        return {name: self._values(self.sources[name], schema[name], piece, None) for name in names}

    def _lists(self, names: list[str], schema: Schema, piece: _Piece) -> dict[str, Array | Ragged]:
        """Return fields of lists of one level, which are of the same lengths."""
        import awkward as ak

        shape = next(
            (
                value
                for name in names
                for value in self._raw(self.sources[name], piece)
                if getattr(value, "ndim", 0) == 2
            ),
            None,
        )
        if shape is None:
            raise DataError(f"{piece.path}: {', '.join(names)}: none of these is a list of each row")
        lengths = np.asarray(ak.num(shape, axis=1))
        real_N = self._real(names, schema, piece, shape)
        fields: dict[str, Array | Ragged] = {}
        for name in names:
            values = self._values(self.sources[name], schema[name], piece, shape)
            column = Ragged.from_lengths(values, lengths)
            fields[name] = column if real_N is None else column.keep(real_N)
        return fields

    def _real(self, names: list[str], schema: Schema, piece: _Piece, shape: Any) -> Array | None:
        """Return which entries of lists are no padding and selected, one after the other; None for all."""
        masks = []
        if not self._plain_padding:
            masks.append(self._extra[self.config.padding](piece.columns) != 0)
        else:
            masks += self._filled(names, piece)
        if self.config.select_constituents is not None and schema[names[0]].level is Level.CONSTITUENT:
            masks.append(self._extra[self.config.select_constituents](piece.columns) != 0)
        flat = [_flat(mask, shape, piece, "select or padding") for mask in masks]
        return np.logical_and.reduce(flat) if flat else None

    def _filled(self, names: list[str], piece: _Piece) -> list[Any]:
        """Return which slots of arrays of fixed shape hold another value than padding; none for lists."""
        parts = [
            part for name in names for part in self.sources[name].expressions if part.names & piece.fixed
        ]
        leaves = [leaf for part in parts for leaf in part.leaves(piece.columns) if leaf.ndim > 1]
        filled: Any = None
        for leaf in leaves:
            value = np.isfinite(leaf) if self.config.padding == "nan" else leaf != 0
            while value.ndim > 2:
                value = _any(value)
            filled = value if filled is None else filled | value
        return [] if filled is None else [filled]

    def _raw(self, source: _Source, piece: _Piece) -> list[Any]:
        try:
            return [part(piece.columns) for part in source.expressions]
        except DataError as error:
            raise DataError(f"{piece.path}: {error}") from None

    def _values(self, source: _Source, field: Field, piece: _Piece, shape: Any) -> Array:
        """Return the values of a field, one for each row or one after the other, in its unit and type."""
        spec = source.spec
        raw = [_flat(value, shape, piece, field.name) for value in self._raw(source, piece)]
        rows = piece.row_R if shape is None else np.repeat(piece.row_R, _num(shape))
        if spec.flags is not None:
            numbers = from_flags(raw, spec, field.classes)
            refuse_unknown(numbers, None, field.name, spec, where=str(piece.path), rows=rows)
            return numbers.astype(field.dtype)
        values = raw[0]
        if spec.codes == PDG:
            return particle_types(values)
        if spec.codes is not None:
            numbers = from_codes(values, spec, field.classes)
            refuse_unknown(numbers, values, field.name, spec, where=str(piece.path), rows=rows)
            return numbers.astype(field.dtype)
        if spec.unit is not None:
            values = values * factor(spec.unit, field.unit, field=field.name)
        if spec.fill is not None:
            values = np.where(np.isfinite(values), values, spec.fill)
        if field.kind is Kind.ANGLE:
            values = np.pi - np.mod(np.pi - values, 2 * np.pi)
        return _typed(values, field, piece.path, rows)

    def _labels(self, piece: _Piece) -> Array:
        label = self.config.label
        assert label is not None
        if label.files is not None:
            return of_file(piece.path, label, piece.rows)
        assert self._label
        raw = [_flat(value, None, piece, LABEL) for value in self._raw(self._label, piece)]
        values = None if label.flags is not None else raw[0]
        numbers = (
            from_flags(raw, label, label.classes)
            if values is None
            else from_codes(values, label, label.classes)
        )
        if not label.drop:
            refuse_unknown(numbers, values, LABEL, label, where=str(piece.path), rows=piece.row_R)
        return numbers

    def _kept(self, fields: Mapping[str, Array | Ragged], piece: _Piece) -> Array | None:
        masks = []
        if self.config.select is not None:
            masks.append(_flat(self._extra[self.config.select](piece.columns), None, piece, "select") != 0)
        if self.config.label is not None and self.config.label.drop:
            masks.append(np.asarray(fields[LABEL]) != UNKNOWN)
        return np.logical_and.reduce(masks) if masks else None


def _double(array: Any) -> Any:
    """Return floating-point numbers in double precision, whole numbers as they are."""
    import awkward as ak

    return ak.values_astype(array, np.float64) if "float" in str(array.type) else array


def _any(values: Any) -> Any:
    import awkward as ak

    return ak.any(values, axis=-1)


def _num(shape: Any) -> Array:
    import awkward as ak

    return np.asarray(ak.num(shape, axis=1))


def _unfolded(columns: dict[str, Any], by: str, row_R: Array, path: Path) -> tuple[dict[str, Any], Array]:
    """Return the entries of lists as rows, and the file's row of each."""
    import awkward as ak

    if columns[by].ndim < 2:
        raise DataError(f"{path}: unfold: {by!r} holds no lists")
    count = _num(columns[by])
    made = {}
    for name, array in columns.items():
        fits = array.ndim > 1 and np.array_equal(_num(array), count)
        made[name] = ak.flatten(array, axis=1) if fits else array[np.repeat(np.arange(len(count)), count)]
    return made, np.repeat(row_R, count)


def _flat(value: Any, shape: Any, piece: _Piece, name: str) -> Array:
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


def _typed(values: Array, field: Field, path: Path, rows: Array) -> Array:
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


def _sums(fields: Mapping[str, Array | Ragged]) -> dict[str, Array | Ragged]:
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


def _sorted(fields: dict[str, Array | Ragged], name: str, schema: Schema) -> dict[str, Array | Ragged]:
    level = schema[name].level
    lists = {key: value for key, value in fields.items() if key in schema and schema[key].level is level}
    return {**fields, **sort_falling(lists, name)}


def _selected(fields: dict[str, Array | Ragged], keep: Array | None) -> dict[str, Array | Ragged]:
    if keep is None or keep.all():
        return fields
    return {
        name: value.take(keep) if isinstance(value, Ragged) else value[keep] for name, value in fields.items()
    }
