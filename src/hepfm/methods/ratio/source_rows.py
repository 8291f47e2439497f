"""Rows of sources by their numbers, or events of several such rows, and the store that a ratio of them is
learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Kind, Schema
from hepfm.data.row_source import Index, RowSource
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter
from hepfm.methods.ratio.base import TwoWeights

NUMERATOR, DENOMINATOR = "ratio_numerator", "ratio_denominator"
"""Fields of the weights in both samples, defaults of the objective ``density_ratio``."""
EVENT = "ratio_event"
"""Field of the number of the event of each row: those of one event are never trained and validated on."""
_CHUNK = 50_000
"""Rows that are copied at once."""


@dataclass(frozen=True)
class SourceRows:
    """R events of one source or several, of P rows each, mostly one; nothing of them is in memory.

    Attributes
    ----------
    sources
        Stores or tables.
    source_R, row_RP
        Place in `sources` of the source of each event, and the numbers of its rows there.
    """

    sources: tuple[RowSource, ...]
    source_R: Index
    row_RP: Index

    def __len__(self) -> int:
        return len(self.row_RP)

    @classmethod
    def of(cls, source: RowSource, rows: Index) -> SourceRows:
        """Return rows of one source, (R,), or its events by their rows, (R, P)."""
        rows = np.asarray(rows, np.int64)
        return cls((source,), np.zeros(len(rows), np.int64), rows[:, None] if rows.ndim == 1 else rows)

    @classmethod
    def joined(cls, parts: Sequence[SourceRows]) -> SourceRows:
        """Return events one behind the other; a source of several parts is there once."""
        sources: list[RowSource] = []
        numbers = []
        for part in parts:
            for source in part.sources:
                if not any(source is known for known in sources):
                    sources.append(source)
            place = np.array(
                [next(n for n, known in enumerate(sources) if known is source) for source in part.sources],
                np.int64,
            )
            numbers.append(place[part.source_R])
        return cls(tuple(sources), np.concatenate(numbers), np.concatenate([part.row_RP for part in parts]))

    def take(self, places: npt.NDArray[np.int64]) -> SourceRows:
        """Return some of the events, by their places."""
        return SourceRows(self.sources, self.source_R[places], self.row_RP[places])

    def by_source(self) -> Iterator[tuple[RowSource, Index, Index]]:
        """Yield each source with the places of its events among all, (R,), and the numbers of their rows,
        (R, P)."""
        for number, source in enumerate(self.sources):
            places = np.flatnonzero(self.source_R == number)
            if len(places):
                yield source, places, self.row_RP[places]

    def schema(self, names: Sequence[str]) -> Schema:
        """Return the schema of some fields, which all sources must have alike; it has no roles.

        Raises
        ------
        IncompatibleError
            When a field is another one in another source.
        """
        first, *others = self.sources
        for name in names:
            for other in others:
                one, two = first.schema[name], other.schema[name]
                if (one.level, one.kind, one.unit, one.classes) != (
                    two.level,
                    two.kind,
                    two.unit,
                    two.classes,
                ):
                    raise IncompatibleError(
                        f"{name!r} is {_described(one)} in {first.name} and {_described(two)} in "
                        f"{other.name}; one network can read both only if they mean the same"
                    )
        return replace(first.schema, label=None, weight=None, group=None).having(names)


def with_weights(schema: Schema) -> Schema:
    """Return the schema with the fields of the weights in both samples and of the number of the event."""
    weights = tuple(
        Field(name, schema.row, dtype="float64", description="weight in this sample of a density ratio")
        for name in (NUMERATOR, DENOMINATOR)
    )
    event = Field(EVENT, schema.row, Kind.COUNT, dtype="int64", description="number of the event")
    kept = tuple(field for field in schema if field.name not in (NUMERATOR, DENOMINATOR, EVENT))
    return replace(schema, fields=(*kept, *weights, event), group=EVENT)


def write_training_store(path: Path, x: SourceRows, weights: TwoWeights, names: Sequence[str]) -> Store:
    """Write the rows of events that count in a sample, each with both weights, and return the store.

    Parameters
    ----------
    path
        Directory to make.
    x, weights
        The events, and what they count; each sample is scaled to half of the number of events.
    names
        Fields that are written.
    """
    numerator, denominator = weights.balanced()
    counted = (numerator != 0) | (denominator != 0)
    schema = with_weights(x.schema(names))
    with StoreWriter(path, schema, provenance={"source": "rows of a density ratio"}) as writer:
        for source, places, rows in x.by_source():
            kept = counted[places]
            event, row = np.repeat(places[kept], rows.shape[1]), rows[kept].ravel()
            for start in range(0, len(row), _CHUNK):
                part = slice(start, start + _CHUNK)
                columns = source.read(names, row[part])
                columns[NUMERATOR], columns[DENOMINATOR] = numerator[event[part]], denominator[event[part]]
                columns[EVENT] = event[part]
                writer.write(columns, split="train", where=source.name)
    return Store.open(path)


def _described(field: Field) -> str:
    classes = f" of the classes {', '.join(field.classes)}" if field.classes else ""
    return f"{field.kind} ({field.level}, {field.unit}){classes}"
