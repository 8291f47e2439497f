"""Jets of one event at detector and at particle level: which rows belong to each other, and which stand
alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource

LEVEL = "jet_level"
"""Field that says at which level a row is, with the classes `DETECTOR` and `PARTICLE`."""
DETECTOR, PARTICLE = "detector", "particle"
PASSES = {DETECTOR: "pass_detector", PARTICLE: "pass_particle"}
"""Flags of a row: whether what it is a level of exists at each level. Data without them are paired by
events."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LevelPairs:
    """E events at two levels, as row numbers and masks; no number stands for a level that is not there.

    Attributes
    ----------
    detector, particle
        Rows of the events that exist at each level, in the order of the events.
    detected, generated
        Which of the E events exist at detector level and at particle level.
    events
        The group of each event (``event_id``), (E,). A jet of each level that do not match are two events of
        one group.
    """

    detector: Index
    particle: Index
    detected: Mask
    generated: Mask
    events: Index

    def __len__(self) -> int:
        return len(self.events)

    def of(self, kept: Mask) -> LevelPairs:
        """Return some of the events."""
        return LevelPairs(
            self.detector[kept[self.detected]],
            self.particle[kept[self.generated]],
            self.detected[kept],
            self.generated[kept],
            self.events[kept],
        )


def check_levels(schema: Schema, *, where: str) -> None:
    """Raise `IncompatibleError` unless rows say at which level they are, and which of them are of one
    event."""
    if LEVEL not in schema or set(schema[LEVEL].classes) != {DETECTOR, PARTICLE}:
        raise IncompatibleError(
            f"{where} has no field {LEVEL!r} with the classes {DETECTOR} and {PARTICLE}: unfolding needs "
            "events at "
            "both levels, as `hepfm simulate zjets_fast` and `hepfm ingest omnifold` make them"
        )
    if schema.group is None:
        raise IncompatibleError(
            f"{where} has no field that says which rows are of one event (the role group)"
        )


def level_rows(source: RowSource, rows: Index, level: str) -> Index:
    """Return those of some rows that are at a level."""
    check_levels(source.schema, where=source.name)
    number = source.schema[LEVEL].classes.index(level)
    return rows[np.asarray(source.read([LEVEL], rows)[LEVEL]) == number]


def pair_levels(source: RowSource, rows: Index) -> LevelPairs:
    """Pair rows of one event.

    Raises
    ------
    DataError
        When an event has two rows at a level, or a row whose other level is said to exist and is not there.
    """
    check_levels(source.schema, where=source.name)
    group = str(source.schema.group)
    flags = [name for name in PASSES.values() if name in source.schema]
    columns = source.read([LEVEL, group, *flags], rows)
    event = np.asarray(columns[group], np.int64)
    at = np.asarray(columns[LEVEL])
    sides = {level: at == source.schema[LEVEL].classes.index(level) for level in (DETECTOR, PARTICLE)}
    for level, side in sides.items():
        _refuse_twice(event[side], level, source.name)
    partner = np.isin(
        event, np.intersect1d(event[sides[DETECTOR]], event[sides[PARTICLE]], assume_unique=True)
    )
    matched = _said(columns, sides) if flags else partner
    lost = int((matched & ~partner).sum())
    if lost:
        raise DataError(
            f"{source.name}: {lost} rows say that their event exists at the other level too, where it has "
            "no row "
            "here; select whole events"
        )
    paired, alone = {}, {}
    for level, side in sides.items():
        places = np.flatnonzero(side & matched)
        paired[level] = rows[places[np.argsort(event[places], kind="stable")]]
        alone[level] = rows[np.flatnonzero(side & ~matched)]
    counts = len(paired[DETECTOR]), len(alone[PARTICLE]), len(alone[DETECTOR])
    places = np.concatenate([paired[PARTICLE], alone[PARTICLE], alone[DETECTOR]])
    return LevelPairs(
        detector=np.concatenate([paired[DETECTOR], alone[DETECTOR]]),
        particle=np.concatenate([paired[PARTICLE], alone[PARTICLE]]),
        detected=np.repeat([True, False, True], counts),
        generated=np.repeat([True, True, False], counts),
        events=np.asarray(source.read([group], places)[group], np.int64),
    )


def _said(columns: Columns, sides: Mapping[str, Mask]) -> Mask:
    """Return which rows say that both levels exist; raise `DataError` where a row denies its own."""
    flags = {level: np.asarray(columns[name], bool) for level, name in PASSES.items()}
    for level, side in sides.items():
        wrong = int((side & ~flags[level]).sum())
        if wrong:
            raise DataError(
                f"{wrong} rows at {level} level say that they do not pass there ({PASSES[level]})"
            )
    both: Mask = flags[DETECTOR] & flags[PARTICLE]
    return both


def _refuse_twice(events: Index, level: str, where: str) -> None:
    found, counts = np.unique(events, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"{where}: event {found[counts > 1][0]} has {counts.max()} rows at {level} level; one jet of "
            "each level "
            "is unfolded: keep the leading one"
        )
