"""Samples of an analysis: rows of a store with their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.core.rng import uniform_of
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.row_selection import Only, selected_rows
from hepfm.data.row_source import Index, RowSource
from hepfm.data.weights import AUTO, read_weights, weighed
from hepfm.methods.ratio.base import Floats


class SampleConfig(Config):
    """Rows of a store.

    Attributes
    ----------
    store
        Name of a store of the analysis.
    split
        The only rows; all splits when null.
    only
        A field and the classes of it that are taken; all rows when null.
    weights
        Field of the event weights; ``auto`` takes the store's own, null means equal ones.
    """

    store: str
    split: str | None = None
    only: Only | None = None
    weights: str | None = AUTO


@dataclass(frozen=True)
class WeightedSample:
    """Rows with their weights.

    Attributes
    ----------
    source, rows
        Which rows, of what.
    weights
        What each counts, float64.
    """

    source: RowSource
    rows: Index
    weights: Floats

    @classmethod
    def of(cls, source: RowSource, config: SampleConfig) -> WeightedSample:
        """Select the rows of a store; raise `DataError` when there are none, or their weights mean
        nothing."""
        source = weighed(source, config.weights)
        rows = np.asarray(
            source.index(None if config.split is None else source.split(config.split)), np.int64
        )
        rows = selected_rows(source, rows, config.only)
        if not len(rows):
            raise DataError(f"{source.name}: no row is selected")
        return cls(source, rows, event_weights(source, rows))

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self.source.schema

    def with_rows(self, rows: Index) -> WeightedSample:
        """Return other rows of the same source."""
        return WeightedSample(self.source, rows, event_weights(self.source, rows))


def event_weights(source: RowSource, rows: Index) -> Floats:
    """Return the weights of rows; 1 where the source has none. Raise `DataError` where they are no numbers,
    or zero."""
    weights = read_weights(source, rows)
    if weights is None:
        return np.ones(len(rows))
    bad = int((~np.isfinite(weights)).sum())
    if bad:
        raise DataError(
            f"{source.name}: {bad} of {len(weights)} weights {source.schema.weight!r} are NaN or infinite"
        )
    if len(weights) and not weights.any():
        raise DataError(f"{source.name}: all {len(weights)} weights {source.schema.weight!r} are zero")
    return weights


def poisson_weights(events: Index, seed: int, purpose: str, *keys: int) -> Floats:
    """Return a Poisson(1) number for each row: what it counts in a replica of the sample.

    Rows of one event count the same, in whichever sample they are drawn: the number is a function of the
    event.

    Parameters
    ----------
    events
        What each row belongs to; see `events_of`.
    seed, purpose, keys
        Of the draw.
    """
    from scipy.stats import poisson  # a second to import

    drawn: Floats = poisson.ppf(uniform_of(events, seed, purpose, *keys), 1.0)
    return np.maximum(drawn, 0.0)  # of exactly 0 the function returns -1


def part_of_toys(sample: WeightedSample, toy: int, toys: int, seed: int, purpose: str) -> WeightedSample:
    """Return the rows of one of several toys.

    Each event is in exactly one of them: toys share no event, and the numbers of their events fluctuate as
    counts do.

    Parameters
    ----------
    sample
        Events of all toys.
    toy, toys
        Which, from 0, of how many.
    seed, purpose
        Of the draw.

    Raises
    ------
    DataError
        When the toy has no event.
    """
    chosen = np.floor(uniform_of(events_of(sample), seed, purpose) * toys) == toy
    if not chosen.any():
        raise DataError(
            f"{sample.source.name}: {len(sample.rows)} rows are too few for {toys} toys, one has none"
        )
    return WeightedSample(sample.source, sample.rows[chosen], sample.weights[chosen])


def events_of(sample: WeightedSample) -> Index:
    """Return the event of each row, by the schema's role ``group``; each row is one where there is none."""
    groups = row_groups(sample.source, sample.rows)
    return sample.rows if groups is None else groups
