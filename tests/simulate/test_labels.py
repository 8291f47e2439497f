"""Truth matching on hand-made event records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepfm.core.errors import ConfigError
from hepfm.simulate.labels import (
    find_decays,
    fits_pattern,
    last_copy,
    match_decay,
    match_parton,
    match_resonance,
    parse_pattern,
)
from hepfm.simulate.pythia import Record

Entry = tuple[int, int, int, int, float, float]
"""PDG code, status, first and last daughter within the event (0: none), eta, phi."""


def record(*events: list[Entry]) -> Record:
    """Return the record of these events; entry 0 of each is the event as a whole."""
    rows = [[(90, -11, 0, 0, 0.0, 0.0), *event] for event in events]
    offsets = np.cumsum([0, *(len(event) for event in rows)])
    columns = [np.array(column) for column in zip(*(entry for event in rows for entry in event), strict=True)]
    pdg, status, first, last, eta, phi = columns
    nothing = np.zeros(len(pdg))
    return Record(
        offsets=offsets,
        pdg=pdg,
        status=status,
        daughter1=first,
        daughter2=last,
        px=np.cos(phi),
        py=np.sin(phi),
        pz=np.sinh(eta),
        energy=np.cosh(eta),
        mass=nothing,
        vertex=np.full(len(pdg), -1),
        x=nothing,
        y=nothing,
        z=nothing,
        weight=np.ones(len(events)),
    )


def higgs_to(*daughters: tuple[int, float, float]) -> list[Entry]:
    """Return an event with a Higgs boson that is copied twice and then decays."""
    last = 3 + len(daughters)
    return [
        (25, -22, 2, 2, 0.0, 0.0),
        (25, -44, 3, 3, 0.0, 0.0),
        (25, -62, 4, last, 0.0, 0.0),
        *((pdg, -23, 0, 0, eta, phi) for pdg, eta, phi in daughters),
    ]


def top(*, b: float, light: float, lepton: bool = False) -> list[Entry]:
    """Return an event with a top quark; `b` and `light` are the azimuths of the b and of one W daughter.

    The lepton, if there is one, radiates: before it is at `light`, afterwards at 0.1.
    """
    first, second = (-13, 14) if lepton else (2, -1)
    return [
        (6, -22, 2, 2, 0.0, 0.0),
        (6, -62, 3, 4, 0.0, 0.0),
        (24, -22, 5, 5, 0.0, 0.0),
        (5, -23, 0, 0, 0.0, b),
        (24, -52, 6, 7, 0.0, 0.0),
        (first, -23, *((8, 9) if lepton else (0, 0)), 0.0, light),
        (second, -23, 0, 0, 0.0, 2.5 if lepton else 0.2),
        *([(-13, 51, 0, 0, 0.0, 0.1), (22, 51, 0, 0, 0.0, light)] if lepton else []),
    ]


def jets(*rows: tuple[int, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    event, eta, phi = zip(*rows, strict=True)
    return np.array(event), np.array(eta, float), np.array(phi, float)


def test_last_copy_is_found() -> None:
    events = record(higgs_to((5, 0.1, 0.0), (-5, -0.1, 0.0)))
    assert last_copy(events, np.array([1])).tolist() == [3]


def test_both_products_must_lie_inside() -> None:
    events = record(
        higgs_to((5, 0.1, 0.0), (-5, -0.1, 0.0)),
        higgs_to((5, 0.7, 0.0), (-5, -0.7, 0.0)),
        higgs_to((5, 0.9, 0), (-5, 0, 0)),
    )
    found = match_decay(
        events, jets((0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 3.0)), resonance=25, pattern="b b", radius=0.8
    )
    assert found.tolist() == [True, True, False, False]


def test_jets_match_only_in_their_own_event() -> None:
    events = record(higgs_to((4, 0.0, 0.0), (-4, 0.0, 0.2)), [(21, -23, 0, 0, 0.0, 0.0)])
    found = match_decay(events, jets((1, 0, 0), (0, 0, 0)), resonance=25, pattern="c c", radius=0.8)
    assert found.tolist() == [False, True]


@pytest.mark.parametrize(
    ("pattern", "products", "fits"),
    [
        ("b b", (5, 5), True),
        ("b b", (4, 4), False),
        ("q q", (4, 4), True),
        ("q q", (21, 21), False),
        ("g g", (21, 21), True),
        ("q q q q", (1, 2, 3, 4), True),
        ("q q q q", (1, 2), False),
        ("q q", (1, 2, 3, 4), False),
        ("q q l nu", (13, 2, 14, 1), True),
        ("q q l nu", (15, 2, 16, 1), False),
        ("b q q", (1, 2, 5), True),
        ("q b q", (5, 2, 1), True),
        ("b q q", (1, 2, 3), False),
    ],
)
def test_patterns(pattern: str, products: tuple[int, ...], fits: bool) -> None:
    padded = np.array([[*products, *[0] * (5 - len(products))]])
    assert fits_pattern(padded, parse_pattern(pattern)).tolist() == [fits]


def test_top_needs_the_quark_of_its_own_and_both_of_the_w() -> None:
    events = record(top(b=-0.3, light=0.4), top(b=-0.9, light=0.4), top(b=-0.3, light=0.9))
    found = match_decay(
        events, jets((0, 0, 0), (1, 0, 0), (2, 0, 0)), resonance=6, pattern="q q q", radius=0.8
    )
    assert found.tolist() == [True, False, False]
    assert sorted(find_decays(events, 6).pdg[0].tolist()) == [1, 2, 5]


def test_neutrino_is_not_tested_and_the_lepton_is_after_its_radiation() -> None:
    """The neutrino flies away; the muon before radiation is outside, the one that is left is inside."""
    events = record(top(b=0.3, light=1.2, lepton=True))
    found = match_decay(events, jets((0, 0, 0)), resonance=6, pattern="q l nu", radius=0.8)
    assert found.tolist() == [True]
    assert match_decay(events, jets((0, 0, 0)), resonance=6, pattern="q q q", radius=0.8).tolist() == [False]


def test_the_resonance_itself() -> None:
    """Only its last copy counts, and its decay products may lie anywhere."""
    rows = record(
        [(25, -22, 2, 2, 3.0, 0.0), (25, -62, 3, 4, 0.0, 0.0), (5, -23, 0, 0, 2, 0), (-5, -23, 0, 0, -2, 0)]
    )
    jets = (np.array([0, 0, 0]), np.array([0.3, 0.5, 3.0]), np.array([0.0, 0.0, 0.0]))
    np.testing.assert_array_equal(match_resonance(rows, jets, resonance=25, radius=0.4), [True, False, False])
    assert not match_resonance(rows, jets, resonance=23, radius=0.4).any()


def test_no_resonance_and_no_jets() -> None:
    events = record([(21, -23, 0, 0, 0.0, 0.0)])
    assert match_decay(events, jets((0, 0, 0)), resonance=25, pattern="b b", radius=0.8).tolist() == [False]
    empty = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    full = record(higgs_to((5, 0, 0), (-5, 0, 0)))
    assert match_decay(full, empty, resonance=25, pattern="b b", radius=0.8).shape == (0,)


def test_outgoing_parton() -> None:
    events = record([(21, -23, 0, 0, 0.3, 0.0), (23, -22, 0, 0, 0.0, 3.0)], [(1, -23, 0, 0, 0.0, 0.0)])
    axes = jets((0, 0, 0), (0, 1.0, 0), (1, 0, 0))
    assert match_parton(events, axes, parton="g", radius=0.4).tolist() == [True, False, False]
    assert match_parton(events, axes, parton="uds", radius=0.4).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "message"), [("b x", "unknown word 'x'"), ("tauu nu", "did you mean 'tau'"), ("", "empty")]
)
def test_bad_patterns(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_pattern(text)


def test_entries_without_a_vertex_come_from_the_origin() -> None:
    vertices = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])]
    moved = replace(
        record([(211, 1, 0, 0, 0.0, 0.0), (22, 1, 0, 0, 0.0, 0.0)]),
        vertex=np.array([-1, 1, 0]),
        **dict(zip("xyz", vertices, strict=True)),
    )
    np.testing.assert_array_equal(moved.vertices(np.array([0, 1])), [[0, 2], [0, 4], [0, 6]])
