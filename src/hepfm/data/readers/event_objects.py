"""What readers of whole events share: objects by type, their selection, and a row for each event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Level, Schema
from hepfm.data.event_objects import merge_objects, missing_momentum, object_columns
from hepfm.data.maps.arrays import Piece, piece_of
from hepfm.data.maps.classes import of_file
from hepfm.data.maps.expression import Expression
from hepfm.data.maps.object_config import ObjectMap
from hepfm.data.maps.objects import MappedObjects, MappedRecord, Names
from hepfm.data.object_overlaps import by_precedence, remove_overlaps
from hepfm.data.readers.base import require
from hepfm.data.readers.event_files import EVENT_FIELDS, EVENT_ROWS, class_of_files
from hepfm.data.readers.event_options import BALANCE, KINDS, EventObjectsConfig
from hepfm.data.remote import DataFile
from hepfm.data.schemas.events import EVENT_WEIGHT, INITIAL_STATE, RESONANCE_MASS, event_schema
from hepfm.data.tables.base import FileTable, as_column
from hepfm.data.tables.open import open_table
from hepfm.data.truth_matching import with_matched_roles


@dataclass(frozen=True)
class Collection:
    """Where a format has objects of one type.

    Attributes
    ----------
    name
        Of the collection.
    momentum
        Expressions of the columns of it: ``pt``, ``eta``, ``phi``, ``mass`` and ``charge``.
    selections
        Of which the first whose columns the file has says what is kept by default; none for all.
    b_tags
        Of which the first whose columns the file has is the b tag by default.
    """

    name: str
    momentum: Mapping[str, str]
    selections: tuple[str, ...] = ()
    b_tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """What of a file is read."""

    objects: Sequence[MappedObjects]
    record: MappedRecord | None
    select: Expression | None
    event: Mapping[str, str]
    more: tuple[str, ...]
    made: frozenset[str]

    @property
    def needed(self) -> list[str]:
        parts = [one.needed for one in self.objects]
        parts += [self.record.needed] if self.record else []
        parts += [self.select.names] if self.select else []
        return sorted(set(self.event.values()).union(self.more, *parts) - self.made)


class EventObjectsReader(ABC):
    """Reads events with their objects; a row is an event. Formats say where things are."""

    title: ClassVar[str]
    collections: ClassVar[Mapping[str, Collection]]
    """Where objects are, by type; ``met`` has no name: it is that of the option."""
    unit: ClassVar[str] = "GeV"

    def __init__(self, config: EventObjectsConfig) -> None:
        self.config = config

    @abstractmethod
    def names_of(self, table: FileTable, collection: str) -> Names:
        """Return the branches of a collection by what they are called in expressions.

        None if there is no such collection.
        """

    @abstractmethod
    def event_branches(self, table: FileTable) -> Mapping[str, str]:
        """Return the branches of run, luminosity block and number of the event, by field."""

    @abstractmethod
    def record(self, table: FileTable) -> MappedRecord:
        """Return where the generator's record is; raise `DataError` where a file has none."""

    def derived(self, piece: Mapping[str, Any], path: DataFile) -> Mapping[str, Any]:
        """Return branches with those that are made of them for the generator's record."""
        return piece

    def made_of(self, table: FileTable) -> tuple[str, ...]:
        """Return the branches that `derived` needs."""
        return ()

    made: ClassVar[frozenset[str]] = frozenset()
    """What `derived` makes."""

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title of the format and the selections, of which the defaults depend on the file."""
        with self._open(path) as table:
            layout = self._layout(table)
        said = {f"select_{one.kind}": one.spec.select for one in layout.objects}
        said |= {f"b_tag_{one.kind}": one.spec.b_tag for one in layout.objects}
        return {"title": self.title, **{name: text for name, text in said.items() if text}}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of events of this file."""
        with self._open(path) as table:
            layout = self._layout(table)
        label = class_of_files(self.config.event_class)
        states = layout.record is not None and layout.record.spec.partons is not None
        schema = event_schema(
            label.classes if label else (),
            truth=layout.record is not None,
            weight=self.config.weight is not None,
            extra=tuple(
                replace(field, level=Level.EVENT) for field in EVENT_FIELDS if field.name in layout.event
            ),
        )
        absent = {RESONANCE_MASS.name, *(() if states else (INITIAL_STATE.name,))}
        return schema.having(name for name in schema.names() if name not in absent)

    def num_rows(self, path: DataFile) -> int | None:
        """Return the number of events of a file; None where the option `select` leaves out some."""
        if self.config.select is not None:
            return None
        with self._open(path) as table:
            return table.num_rows(self._layout(table).needed)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the events of a file."""
        first = 0
        with self._open(path) as table:
            layout = self._layout(table)
            for arrays in table.chunks(layout.needed, EVENT_ROWS):
                piece = piece_of(self.derived(arrays, path), path, first)
                first += piece.rows
                columns = self._events(piece, layout)
                if len(next(iter(columns.values()))):
                    yield columns

    def _open(self, path: DataFile) -> FileTable:
        return open_table(path, self.config.tree)

    def _layout(self, table: FileTable) -> _Layout:
        config = self.config
        if config.weight is not None:
            require(table.names, [config.weight], table.path, what="branch of the option weight,")
        objects = [
            self._objects(table, option, kind)
            for option, kind in KINDS.items()
            if getattr(config, option) is not None
        ]
        if config.met is not None and config.met != BALANCE:
            spec = ObjectMap.model_validate({**self.collections["met"].momentum, "unit": self.unit})
            objects.append(MappedObjects("met", spec, self._names(table, "met", config.met)))
        if not objects:
            raise ConfigError(
                "no objects are read: jets, electrons, muons, taus, photons and met are all null"
            )
        record = self.record(table) if config.generator else None
        return _Layout(
            objects,
            record,
            Expression(config.select, table.names) if config.select is not None else None,
            self.event_branches(table),
            (*((config.weight,) if config.weight else ()), *(self.made_of(table) if record else ())),
            self.made,
        )

    def _names(self, table: FileTable, option: str, collection: str) -> Names:
        names = self.names_of(table, collection)
        if not names:
            raise DataError(
                f"{table.path} has no {collection!r} for the option {option}; name another collection, or "
                f"leave these objects out with --set {option}=null"
            )
        return names

    def _objects(self, table: FileTable, option: str, kind: str) -> MappedObjects:
        """Return the objects of an option, with the defaults of the format."""
        choice, format_ = getattr(self.config, option), self.collections[kind]
        name = choice.collection or format_.name
        names = self._names(table, option, name)
        lacking = [f"{name}: {text}" for text in format_.momentum.values() if not _fits(text, names)]
        if lacking:
            raise DataError(
                f"{table.path} has no columns for {', '.join(lacking)}; is it a file of this format?"
            )
        spec: dict[str, Any] = {"min_pt": choice.min_pt, "max_abs_eta": choice.max_abs_eta, "unit": self.unit}
        spec["select"] = choice.select or _first(format_.selections, names, table, f"{option}: select")
        if kind == "jet":
            spec["b_tag"] = choice.b_tag or _first(format_.b_tags, names, table, f"{option}: b_tag")
        return MappedObjects(kind, ObjectMap.model_validate({**format_.momentum, **spec}), names)

    def _events(self, piece: Piece, layout: _Layout) -> dict[str, Array | Ragged]:
        columns: dict[str, Array | Ragged] = {
            **self._row_fields(piece, layout),
            **self._object_fields(piece, layout),
        }
        if layout.select is None:
            return columns
        kept = np.asarray(_numbers(layout.select(piece.columns), layout.select.text, piece.path)) != 0
        return {
            name: column.take(kept) if isinstance(column, Ragged) else column[kept]
            for name, column in columns.items()
        }

    def _object_fields(self, piece: Piece, layout: _Layout) -> dict[str, Array | Ragged]:
        config = self.config
        objects = merge_objects(*(one.read(piece) for one in layout.objects))
        if config.overlap is not None:
            objects = remove_overlaps(objects, by_precedence(config.overlap))
        if config.met == BALANCE:
            px, py = (objects.pt * turn(objects.phi) for turn in (np.cos, np.sin))
            objects = merge_objects(objects, missing_momentum(objects.event, px, py, piece.rows))
        if layout.record is not None:
            generator = layout.record.read(piece)
            objects = with_matched_roles(objects, generator, radius=config.match_radius)
            objects = merge_objects(objects, generator)
        return object_columns(objects, piece.rows, truth=layout.record is not None)

    def _row_fields(self, piece: Piece, layout: _Layout) -> dict[str, Array]:
        fields = {
            name: _numbers(piece.columns[branch], branch, piece.path).astype(np.int64)
            for name, branch in layout.event.items()
        }
        label = class_of_files(self.config.event_class)
        if label is not None:
            fields["event_label"] = of_file(piece.path, label, piece.rows)
        if self.config.weight is not None:
            columns = {self.config.weight: self.weight_column(piece)}
            fields[EVENT_WEIGHT.name] = self.config.event_weights(columns, piece.path)
        states = layout.record.states(piece) if layout.record else None
        return fields if states is None else {**fields, INITIAL_STATE.name: states}

    def weight_column(self, piece: Piece) -> Array | Ragged:
        """Return the branch of the option weight."""
        name = str(self.config.weight)
        return as_column(piece.columns[name], name, piece.path)


def _fits(text: str, names: Names) -> bool:
    """Tell whether a collection has the columns of an expression."""
    try:
        Expression(text, names)
    except ConfigError:
        return False
    return True


def _first(texts: Sequence[str], names: Names, table: FileTable, option: str) -> str | None:
    """Return the first expression whose columns a collection has; None where a format has none at all."""
    if not texts:
        return None
    found = next((text for text in texts if _fits(text, names)), None)
    if found is None:
        raise DataError(
            f"{table.path} has the columns of none of the defaults of {option} ({'; '.join(texts)}); give "
            f"one of its own columns{did_you_mean(texts[0].split()[0], names)}"
        )
    return found


def _numbers(array: Any, name: str, path: DataFile) -> Array:
    """Return one number of each event; some formats write lists of one."""
    column = as_column(array, name, path)
    if isinstance(column, Ragged):
        if (column.lengths != 1).any():
            raise DataError(f"{path}: an entry of {name} does not hold one number")
        return column.values
    return column
