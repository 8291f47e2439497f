"""Events of an analysis of anomalies: rows of stores of events, or pairs of rows of stores of jets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hepfm.core.schema import Level, Schema
from hepfm.data.dijets import dijet_features, event_pairs, feature_inputs
from hepfm.data.row_source import Index, RowSource
from hepfm.data.schemas.dijets import DIJET_MASS, feature_schema
from hepfm.data.table import Table
from hepfm.methods.observables import Values, read_observables
from hepfm.methods.ratio.base import Floats, RatioEstimator
from hepfm.methods.samples import WeightedSample, event_weights

X = TypeVar("X")


@dataclass(frozen=True)
class EventRows:
    """Events of one store.

    Attributes
    ----------
    source, rows
        Where their features are, (R,).
    parts, of_parts
        What a model reads, and the rows of each event in it, (R, P): an event itself, or its two jets.
    """

    source: RowSource
    rows: Index
    parts: RowSource
    of_parts: Index


@dataclass(frozen=True)
class Events:
    """Events of one or more stores, in any order.

    Attributes
    ----------
    stores
        Where they are.
    order
        Place of each event in the stores, one behind the other, (R,).
    mass, weights
        The resonant field and the event weight of each, (R,).
    """

    stores: tuple[EventRows, ...]
    order: Index
    mass: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.order)

    @classmethod
    def of(cls, sample: WeightedSample, field: str) -> Events:
        """Return the events of a sample; see `holds_pairs`."""
        rows = _pairs(sample) if holds_pairs(sample.schema) else _single(sample)
        mass = read_observables(rows.source, rows.rows, (field,))[:, 0].astype(np.float64)
        return cls((rows,), np.arange(len(rows.rows)), mass, event_weights(rows.source, rows.rows))

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """Return events one behind the other."""
        sizes = [sum(len(store.rows) for store in one.stores) for one in parts]
        starts = np.cumsum([0, *sizes[:-1]])
        return cls(
            tuple(store for one in parts for store in one.stores),
            np.concatenate([one.order + start for one, start in zip(parts, starts, strict=True)]),
            np.concatenate([one.mass for one in parts]),
            np.concatenate([one.weights for one in parts]),
        )

    def take(self, places: npt.NDArray[Any]) -> Events:
        """Return some of the events, by their places or a mask."""
        return Events(self.stores, self.order[places], self.mass[places], self.weights[places])

    def read(self, estimator: RatioEstimator[X]) -> X:
        """Return what an estimator reads of the events, in their order."""
        return self._gathered(
            lambda store, places: (
                estimator.read(store.parts, store.of_parts[places])
                if estimator.of_parts
                else estimator.read(store.source, store.rows[places])
            ),
            estimator.join,
            estimator.take,
        )

    def observables(self, names: tuple[str, ...]) -> Values:
        """Return observables, (R, F)."""
        return self._gathered(
            lambda store, places: read_observables(store.source, store.rows[places], names),
            np.concatenate,
            lambda values, places: values[places],
        )

    def of_parts(self, read: Callable[[RowSource, Index], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return what a model says of the parts of the events, (R, P, ...)."""

        def one(store: EventRows, places: Index) -> npt.NDArray[Any]:
            rows = store.of_parts[places]
            said = read(store.parts, rows.ravel())
            return said.reshape(*rows.shape, *said.shape[1:])

        return self._gathered(one, np.concatenate, lambda values, places: values[places])

    def _gathered(
        self,
        read: Callable[[EventRows, Index], X],
        join: Callable[[Sequence[X]], X],
        take: Callable[[X, Index], X],
    ) -> X:
        pieces, places = [], []
        for here, store, local in self._by_store():
            pieces.append(read(store, local))
            places.append(here)
        return take(join(pieces), np.argsort(np.concatenate(places), kind="stable"))

    def _by_store(self) -> Iterator[tuple[Index, EventRows, Index]]:
        starts = np.cumsum([0, *(len(store.rows) for store in self.stores)])
        number = np.searchsorted(starts, self.order, side="right") - 1
        for place, store in enumerate(self.stores):
            here = np.flatnonzero(number == place)
            if len(here):
                yield here, store, self.order[here] - starts[place]


def holds_pairs(schema: Schema) -> bool:
    """Tell whether rows are jets of which the two of an event belong together."""
    return schema.row is Level.OBJECT and schema.group is not None and DIJET_MASS.name in schema


def event_schema(schema: Schema) -> Schema:
    """Return the schema of the events of a store: its own, or that of the features of pairs of jets."""
    if not holds_pairs(schema):
        return schema
    feature_inputs(schema)
    return feature_schema(schema.label_classes, weight=schema.weight is not None)


def _single(sample: WeightedSample) -> EventRows:
    return EventRows(sample.source, sample.rows, sample.source, sample.rows[:, None])


def _pairs(sample: WeightedSample) -> EventRows:
    source, schema = sample.source, sample.schema
    columns = source.read(feature_inputs(schema), sample.rows)
    first, second = event_pairs(columns, str(schema.group))
    table = Table.from_dict(dijet_features(columns, schema), event_schema(schema), name=source.name)
    pairs = np.stack([sample.rows[first], sample.rows[second]], axis=1)
    return EventRows(table, np.arange(len(first)), source, pairs)
