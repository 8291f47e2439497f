"""Objects that cannot be are refused with file, row, object, rule and cure; odd events are warned about."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_rows import event_columns, event_table

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.data.plausibility import Plausibility
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.data.validate import prepare

SCHEMA = event_schema(("ttbar", "Zjets"), truth=True)
Columns = dict[str, Any]
Change = Callable[[Columns], None]


@pytest.fixture
def events() -> Columns:
    return event_columns(8, seed=2)


def look(
    columns: Columns, plausibility: Plausibility | None = None, *, first_row: int = 1000
) -> Plausibility:
    plausibility = plausibility or Plausibility(SCHEMA)
    plausibility.look(columns, path=Path("f.root"), first_row=first_row)
    return plausibility


def place(columns: Columns, row: int, kind: str, level: str = "reconstructed") -> int:
    """Return where the first object of a type and level of a row is among all values."""
    found = (columns["object_type"].values == OBJECT_TYPES.index(kind)) & (
        columns["object_level"].values == OBJECT_LEVELS.index(level)
    )
    return int(np.flatnonzero(found & (columns["object_pt"].row_index() == row))[0])


def put(name: str, kind: str, value: Any, level: str = "reconstructed") -> Change:
    """Return a change of a field of the first object of a type in the third event."""

    def change(columns: Columns) -> None:
        columns[f"object_{name}"].values[place(columns, 2, kind, level)] = value

    return change


TYPE = {name: number for number, name in enumerate(OBJECT_TYPES)}
IMPOSSIBLE: dict[str, tuple[Change, str]] = {
    "energy below momentum": (put("energy", "jet", 1.0), "object_energy 1 is below the momentum.*same unit"),
    "negative energy": (put("energy", "top", -1.0, "generator"), "object_energy -1 is negative"),
    "negative pt": (put("pt", "jet", -5.0), "object_pt -5 is negative; is the field this quantity"),
    "charge in thirds, seen": (put("charge", "muon", 1 / 3), "object_charge 0.333333 is no charge.*scaled"),
    "large charge": (put("charge", "electron", 11), "object_charge 11 is no charge"),
    "charge of a jet": (put("charge", "jet", 1), "object_charge 1 is that of a reconstructed jet"),
    "odd charge, made": (put("charge", "top", 0.5, "generator"), "object_charge 0.5 is no charge"),
    "b tag of a lepton": (put("b_tag", "muon", 0.9), "object_b_tag 0.9 is not 0 .* no reconstructed jet"),
    "type of particles, seen": (
        put("type", "jet", TYPE["top"]),
        "object_type top is no type of reconstructed",
    ),
    "type of jets, made": (put("type", "top", TYPE["jet"], "generator"), "object_type jet is no type of gen"),
    "missing momentum, made": (
        put("type", "top", TYPE["met"], "generator"),
        "object_type met is no type of gen",
    ),
    "eta of missing momentum": (put("eta", "met", 2.0), "object_eta 2 is that of missing momentum"),
    "mass of missing momentum": (put("energy", "met", 5e4), "object_energy 50000 .* massless"),
    "code of a seen object": (put("pdg", "jet", 5), "object_pdg 5 is that of a reconstructed object"),
    "no code": (put("pdg", "top", 0, "generator"), "object_pdg 0 is not of the particle"),
    "code of another type": (put("pdg", "top", 24, "generator"), "object_pdg 24 .* which of both is right"),
    "role of missing momentum": (put("role", "met", 1), f"object_role {OBJECT_ROLES[1]} is that of missing"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_objects_that_cannot_be_are_refused(case: str, events: Columns) -> None:
    look(events)
    change, message = IMPOSSIBLE[case]
    change(events)
    with pytest.raises(DataError, match=rf"f\.root, row 1002, object \d+: {message}") as error:
        look(events)
    assert "such values in this piece" in str(error.value)


def test_the_object_of_the_message_is_the_one(events: Columns) -> None:
    number = place(events, 2, "met") - int(events["object_pt"].offsets[2])
    put("eta", "met", 2.0)(events)
    with pytest.raises(DataError, match=f"row 1002, object {number}: object_eta"):
        look(events)


def test_two_missing_momenta_are_refused(events: Columns) -> None:
    jet = place(events, 2, "electron")
    met = place(events, 2, "met")
    for name in ("type", "eta", "charge", "role"):
        events[f"object_{name}"].values[jet] = events[f"object_{name}"].values[met]
    events["object_energy"].values[jet] = events["object_pt"].values[jet]
    second = max(jet, met) - int(events["object_pt"].offsets[2])
    with pytest.raises(DataError, match=f"row 1002, object {second}: object_type met is the second"):
        look(events)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("type", len(OBJECT_TYPES), "must be a class number from 0 to 14"),
        ("role", len(OBJECT_ROLES), "must be a class number"),
        ("level", -1, "must be a class number from 0 to 1"),
        ("phi", 4.0, "must be an angle"),
        ("pt", np.nan, "must be finite"),
    ],
)
def test_codes_outside_of_the_schema_name_row_and_object(
    events: Columns, name: str, value: float, message: str
) -> None:
    events[f"object_{name}"].values[int(events["object_pt"].offsets[2]) + 3] = value
    with pytest.raises(DataError, match=rf"here: field 'object_{name}', row 12, object 3: .*{message}"):
        prepare(SCHEMA, events, where="here", first_row=10)


def swapped(columns: Columns, one: int, other: int) -> Columns:
    order = np.arange(len(columns["object_pt"].values))
    order[[one, other]] = order[[other, one]]
    return {
        name: column.with_values(column.values[order]) if isinstance(column, Ragged) else column
        for name, column in columns.items()
    }


def test_order_is_by_level_and_falling_pt(events: Columns) -> None:
    prepare(SCHEMA, events, where="here")
    start = int(events["object_pt"].offsets[2])
    with pytest.raises(
        DataError, match=r"here: objects of row 2 .* object 1 has a greater pt .*sort the objects"
    ):
        prepare(SCHEMA, swapped(events, start, start + 1), where="here")
    first_made = place(events, 2, "top", "generator")
    made = int(np.flatnonzero(events["object_level"].values[start:])[0]) + start
    assert made <= first_made
    with pytest.raises(DataError, match=f"object {made - start} is reconstructed and stands behind"):
        prepare(SCHEMA, swapped(events, made - 1, made), where="here")


def without(columns: Columns, level: str | None, rows: list[int]) -> Columns:
    """Return events of which some have no objects of a level, or none at all."""
    row = columns["object_pt"].row_index()
    gone = np.isin(row, rows)
    if level is not None:
        gone &= columns["object_level"].values == OBJECT_LEVELS.index(level)
    return {
        name: column.keep(~gone) if isinstance(column, Ragged) else column for name, column in columns.items()
    }


def test_events_that_no_network_can_be_shown_are_refused(events: Columns) -> None:
    with pytest.raises(DataError, match=r"f\.root, row 1003: the event has no objects at all \(2 such"):
        look(without(events, None, [3, 5]))
    with pytest.raises(DataError, match=r"f\.root, row 1003: .* generator objects only.*missing"):
        look(without(events, "reconstructed", [3]))
    # The other way round, and in another piece.
    alone = look(without(events, "reconstructed", list(range(8))))
    with pytest.raises(DataError, match=r"f\.root, row 1000: .* generator objects only"):
        look(events, alone, first_row=1008)


def test_odd_events_are_warned_about(events: Columns, caplog: pytest.LogCaptureFixture) -> None:
    def said(columns: Columns) -> str:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            look(columns).warn()
        return caplog.text

    assert "generator" not in said(events)
    assert "MeV" not in said(events)
    assert "3 of 8 events have no generator objects" in said(without(events, "generator", [0, 1, 7]))
    assert "no generator objects" not in said(without(events, "generator", list(range(8))))
    assert "no event has a reconstructed object" in said(without(events, "reconstructed", list(range(8))))
    for name in ("pt", "energy"):
        events[f"object_{name}"] = events[f"object_{name}"].with_values(
            events[f"object_{name}"].values * 1000
        )
    assert "is the file in MeV" in said(events)


def test_random_events_of_the_tests_are_plausible() -> None:
    table = event_table(200, seed=5)
    columns = table.read(table.schema.names(), range(200))
    plausibility = Plausibility(table.schema)
    plausibility.look(columns, path=Path("f"), first_row=0)
    plausibility.warn()
