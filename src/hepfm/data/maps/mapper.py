"""From columns of a file to fields of a store, as a map says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.event_objects import sorted_objects
from hepfm.data.maps.arrays import (
    Piece,
    any_of_last,
    flat,
    lengths_of,
    piece_of,
    selected,
    sorted_lists,
    sums_of_constituents,
    typed,
    unfolded,
)
from hepfm.data.maps.classes import UNKNOWN, from_codes, from_flags, of_file, refuse_unknown
from hepfm.data.maps.config import PDG, FieldMap, MapConfig
from hepfm.data.maps.event_objects import ObjectMapper
from hepfm.data.maps.expression import SLOT, Expression
from hepfm.data.maps.known import KNOWN, roles_of
from hepfm.data.maps.units import factor
from hepfm.data.readers.physics import particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import JET_FIELDS, PID_CLASSES
from hepfm.data.validate import SORTED_FALLING


@dataclass(frozen=True)
class _Source:
    """A field with the expressions that it is made of: one, or one for each flag."""

    spec: FieldMap
    expressions: tuple[Expression, ...]


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
        self._row = Level(config.rows)
        self._roles = roles_of(self._row)
        specs = {**config.fields, **config.observers}
        self.sources = {name: self._source(name, spec) for name, spec in specs.items()}
        if config.weight is not None:
            weight = self._roles.weight.name
            self.sources[weight] = self._source(weight, FieldMap(take=config.weight))
        if config.group is not None:
            group = self._roles.group.name
            self.sources[group] = self._source(group, FieldMap(take=config.group))
        told = config.label if config.label is not None and config.label.files is None else None
        self._label: _Source | None = None if told is None else self._source(self._roles.label, told)
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
        self._objects = ObjectMapper(config, self.names)
        self.needed = sorted(unfold.union(self._objects.needed, *(part.names for part in made)))
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

    def schema(self, columns: Mapping[str, Any], path: DataFile) -> Schema:
        """Return the schema of the store, from columns of some rows, which show what is a list."""
        piece = self._piece(columns, path, 0)
        values = {name: source.expressions[0](piece.columns) for name, source in self.sources.items()}
        fields = [self._field(name, source.spec, values[name]) for name, source in self.sources.items()]
        if self.config.jet == "sum":
            fields += [field for field in JET_FIELDS if field.name not in self.sources]
        if self.config.label is not None:
            fields.append(
                Field(
                    self._roles.label,
                    self._row,
                    Kind.CATEGORICAL,
                    dtype="int16",
                    classes=self.config.label.classes,
                )
            )
        fields += self._objects.fields()
        # Fields of the rows come first, as in every schema.
        fields.sort(key=lambda field: field.level is not self._row)
        return Schema(
            tuple(fields),
            self._row,
            label=self._roles.label if self.config.label else None,
            weight=self._roles.weight.name if self.config.weight is not None else None,
            group=self._roles.group.name if self.config.group is not None else None,
        )

    def _field(self, name: str, spec: FieldMap, values: Any) -> Field:
        group = self._roles.group
        known = group if name == group.name and self.config.group is not None else KNOWN.get(name)
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
        self, columns: Mapping[str, Any], schema: Schema, *, path: DataFile, first_row: int
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
        raw = {name: self._raw(source, piece) for name, source in self.sources.items()}
        fields: dict[str, Array | Ragged] = {}
        for level in dict.fromkeys(schema[name].level for name in self.sources):
            names = [name for name in self.sources if schema[name].level is level]
            fields |= (
                {
                    name: self._values(self.sources[name], schema[name], raw[name], piece, None)
                    for name in names
                }
                if level is schema.row
                else self._lists(names, schema, raw, piece)
            )
        if self.config.jet == "sum":
            fields |= {
                name: value for name, value in sums_of_constituents(fields).items() if name not in fields
            }
        if self.config.label is not None:
            fields[self._roles.label] = self._labels(piece)
        fields |= self._objects.read(piece)
        if not self.config.objects and "object_pt" in fields:
            fields |= sorted_objects(fields)
        for name in SORTED_FALLING:
            if name in fields and schema[name].level is Level.CONSTITUENT:
                fields = sorted_lists(fields, name, schema)
        return selected(fields, self._kept(fields, piece))

    def _piece(self, columns: Mapping[str, Any], path: DataFile, first_row: int) -> Piece:
        import awkward as ak

        piece = piece_of(columns, path, first_row)
        made, row_R = dict(piece.columns), piece.row_R
        if self.config.unfold is not None:
            made, row_R = unfolded(made, self.config.unfold, row_R, path)
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
        return Piece(made, piece.fixed | families, len(row_R), row_R, path)

    def _lists(
        self, names: list[str], schema: Schema, raw: Mapping[str, list[Any]], piece: Piece
    ) -> dict[str, Array | Ragged]:
        """Return fields of lists of one level, which are of the same lengths."""
        found = (value for name in names for value in raw[name] if getattr(value, "ndim", 0) == 2)
        shape = next(found, None)
        if shape is None:
            raise DataError(f"{piece.path}: {', '.join(names)}: none of these is a list of each row")
        lengths = lengths_of(shape)
        real_N = self._real(names, schema, piece, shape)
        fields: dict[str, Array | Ragged] = {}
        for name in names:
            values = self._values(self.sources[name], schema[name], raw[name], piece, shape)
            column = Ragged.from_lengths(values, lengths)
            fields[name] = column if real_N is None else column.keep(real_N)
        return fields

    def _real(self, names: list[str], schema: Schema, piece: Piece, shape: Any) -> Array | None:
        """Return which entries of lists are no padding and selected, one after the other; None for all."""
        masks = []
        if not self._plain_padding:
            masks.append(self._extra[self.config.padding](piece.columns) != 0)
        else:
            masks += self._filled(names, piece)
        if self.config.select_constituents is not None and schema[names[0]].level is Level.CONSTITUENT:
            masks.append(self._extra[self.config.select_constituents](piece.columns) != 0)
        kept = [flat(mask, shape, piece, "select or padding") for mask in masks]
        return np.logical_and.reduce(kept) if kept else None

    def _filled(self, names: list[str], piece: Piece) -> list[Any]:
        """Return which slots of arrays of fixed shape hold another value than padding; none for lists."""
        parts = [
            part for name in names for part in self.sources[name].expressions if part.names & piece.fixed
        ]
        leaves = [leaf for part in parts for leaf in part.leaves(piece.columns) if leaf.ndim > 1]
        filled: Any = None
        for leaf in leaves:
            value = np.isfinite(leaf) if self.config.padding == "nan" else leaf != 0
            while value.ndim > 2:
                value = any_of_last(value)
            filled = value if filled is None else filled | value
        return [] if filled is None else [filled]

    def _raw(self, source: _Source, piece: Piece) -> list[Any]:
        try:
            return [part(piece.columns) for part in source.expressions]
        except DataError as error:
            raise DataError(f"{piece.path}: {error}") from None

    def _values(self, source: _Source, field: Field, raw: list[Any], piece: Piece, shape: Any) -> Array:
        """Return the values of a field, one for each row or one after the other, in its unit and type."""
        spec = source.spec
        parts = [flat(value, shape, piece, field.name) for value in raw]
        rows = piece.row_R if shape is None else np.repeat(piece.row_R, lengths_of(shape))
        if spec.flags is not None:
            numbers = from_flags(parts, spec, field.classes)
            refuse_unknown(numbers, None, field.name, spec, where=str(piece.path), rows=rows)
            return numbers.astype(field.dtype)
        values = parts[0]
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
        return typed(values, field, piece.path, rows)

    def _labels(self, piece: Piece) -> Array:
        label = self.config.label
        assert label is not None
        if label.files is not None:
            return of_file(piece.path, label, piece.rows)
        assert self._label
        raw = [flat(value, None, piece, self._roles.label) for value in self._raw(self._label, piece)]
        values = None if label.flags is not None else raw[0]
        numbers = (
            from_flags(raw, label, label.classes)
            if values is None
            else from_codes(values, label, label.classes)
        )
        if not label.drop:
            refuse_unknown(numbers, values, self._roles.label, label, where=str(piece.path), rows=piece.row_R)
        return numbers

    def _kept(self, fields: Mapping[str, Array | Ragged], piece: Piece) -> Array | None:
        masks = []
        if self.config.select is not None:
            masks.append(flat(self._extra[self.config.select](piece.columns), None, piece, "select") != 0)
        if self.config.label is not None and self.config.label.drop:
            masks.append(np.asarray(fields[self._roles.label]) != UNKNOWN)
        return np.logical_and.reduce(masks) if masks else None
