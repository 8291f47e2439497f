"""Objects of events on their way into a store: overlaps, matching with the truth, order."""

from __future__ import annotations

import numpy as np
from event_objects import objects, types

from hepfm.core.ragged import lists
from hepfm.data.event_objects import LEVEL, distances, object_columns
from hepfm.data.object_overlaps import PRECEDENCE, Overlap, by_precedence, remove_overlaps
from hepfm.data.schemas.events import OBJECT_ROLES
from hepfm.data.truth_matching import UNMATCHED, match, with_matched_roles
from hepfm.simulate.object_recipe import OVERLAPS


def test_overlaps_go_step_by_step() -> None:
    electron_with_its_jet = objects(
        (0, "electron", 40, 0, 0), (0, "jet", 41, 0.01, 0), (0, "jet", 50, 0.3, 0)
    )
    # Its own jet goes first; then the electron is beside a true jet, to which it belongs.
    assert types(remove_overlaps(electron_with_its_jet, OVERLAPS)) == ["jet"]
    assert types(remove_overlaps(electron_with_its_jet, OVERLAPS[:6])) == ["electron", "jet"]
    other_event = objects((0, "electron", 40, 0, 0), (1, "jet", 41, 0.01, 0))
    assert types(remove_overlaps(other_event, OVERLAPS)) == ["electron", "jet"]
    tau = objects((0, "tau", 40, 0, 3.1), (0, "jet", 40, 0, 3.1), (0, "muon", 30, 0, -3.1))
    assert types(remove_overlaps(tau, OVERLAPS)) == ["muon"]  # across phi = pi; the tau was the muon
    assert types(remove_overlaps(tau.take(tau.of_type("tau", "jet")), OVERLAPS)) == ["tau"]
    same_kind = objects((0, "jet", 40, 0, 0), (0, "jet", 30, 0.1, 0))
    assert len(remove_overlaps(same_kind, [Overlap(drop="jet", near="jet", radius=0.05)])) == 2


def test_matching_is_unique_and_by_type() -> None:
    generator = objects(
        (0, "bottom", 50, 0.0, 0.0, -1 / 3, "t_b", "generator"),
        (0, "quark", 50, 0.2, 0.0, 2 / 3, "t_q", "generator"),
        (0, "electron", 50, 1.0, 1.0, -1, "tbar_l", "generator"),
        (0, "tau", 50, 1.0, 2.0, 1, "w_tau", "generator"),
        (0, "neutrino", 50, 1.0, -1.0, 0, "tbar_nu", "generator"),
    )
    seen = objects(
        (0, "jet", 45, 0.12, 0.0),
        (0, "jet", 20, -0.25, 0.0),
        (0, "jet", 20, 1.0, -1.0),
        (0, "muon", 45, 1.0, 1.0),
        (0, "muon", 12, 1.05, 2.0),
        (0, "electron", 48, 1.01, 1.0),
        (1, "jet", 50, 0.0, 0.0),
    )
    found = with_matched_roles(seen, generator, radius=0.4)
    # The nearest pair is jet 0 with the quark; the b quark, as near to it, gets the jet that is left.
    expected = ["t_q", "t_b", "none", "none", "w_tau", "tbar_l", "none"]
    assert [OBJECT_ROLES[role] for role in found.role] == expected


def test_precedence_leaves_nothing_beside_an_earlier_type() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.choice(PRECEDENCE, 120)
    mixed = objects(*((int(rng.integers(4)), str(kind), 30, *rng.normal(0, 1, 2)) for kind in kinds))
    left = remove_overlaps(mixed, by_precedence(0.4))
    rank = np.array([PRECEDENCE.index(name) for name in types(left)])
    i, j, distance = distances(left, left)
    assert not (distance[rank[i] != rank[j]] < 0.4).any()
    assert (distance[rank[i] == rank[j]] < 0.4).sum() > len(left), "objects of one type stay"
    muons = mixed.of_type("muon")
    assert left.of_type("muon").sum() == muons.sum()
    assert 0 < len(left) - muons.sum() < (~muons).sum()


Place = tuple[float, float, str]
"""eta, phi and type of an object."""


def matched(seen: list[Place], made: list[Place], radius: float = 0.4) -> list[int]:
    """Match objects of one event."""
    one, other = (objects(*((0, kind, 50, eta, phi) for eta, phi, kind in rows)) for rows in (seen, made))
    return match(one, other, radius=radius).tolist()


def test_matching_is_one_to_one_and_by_the_nearest_pair() -> None:
    made = [(0.0, 0.0, "bottom"), (0.3, 0.0, "gluon")]
    # Jet 1 is nearer to the b quark, so jet 0 gets what is left.
    assert matched([(0.1, 0.0, "jet"), (0.01, 0.0, "jet")], made) == [1, 0]
    assert matched([(0.1, 0.0, "jet"), (0.01, 0.0, "jet")], made[:1]) == [UNMATCHED, 0]
    assert matched([(0.1, 0.0, "electron")], made) == [UNMATCHED]
    assert matched([(0.0, 3.1, "muon")], [(0.0, -3.1, "muon")]) == [0]
    assert matched([(0.0, 0.0, "jet")], [(0.0, 0.5, "quark")]) == [UNMATCHED]
    # A tau may be a muon, if no muon is at hand.
    assert matched([(0.0, 0.0, "muon")], [(0.0, 0.01, "tau"), (0.2, 0.2, "muon")]) == [1]
    assert matched([(0.0, 0.0, "muon"), (0.2, 0.2, "muon")], [(0.0, 0.01, "tau"), (0.2, 0.2, "muon")]) == [
        0,
        1,
    ]
    # One tau is not both a hadronic tau and the electron beside it.
    assert matched([(0.0, 0.05, "electron"), (0.0, 0.1, "tau")], [(0.0, 0.0, "tau")]) == [UNMATCHED, 0]
    assert matched([(0.0, 0.0, "jet")], [(0.0, 0.0, "tau")]) == [UNMATCHED]
    assert matched([(0.0, 0.0, "met")], [(0.0, 0.0, "neutrino")]) == [UNMATCHED]


def test_matching_is_what_a_loop_over_sorted_pairs_gives() -> None:
    rng = np.random.default_rng(3)
    seen = [(*rng.normal(0, 0.4, 2), "jet") for _ in range(12)]
    made = [(*rng.normal(0, 0.4, 2), "quark") for _ in range(9)]
    pairs = sorted(
        (np.hypot(a[0] - b[0], a[1] - b[1]), i, j) for i, a in enumerate(seen) for j, b in enumerate(made)
    )
    expected = [UNMATCHED] * len(seen)
    for distance, one, other in pairs:
        if distance < 0.4 and expected[one] == UNMATCHED and other not in expected:
            expected[one] = other
    assert matched(seen, made) == expected


def test_lists_are_ordered_and_of_the_events_wanted() -> None:
    mixed = objects(
        (1, "jet", 30, 0, 0),
        (0, "jet", 20, 0, 0),
        (1, "top", 90, 0, 0, 2 / 3, "none", "generator"),
        (1, "met", 50, 0, 0),
        (2, "jet", 99, 0, 0),
    )
    columns = object_columns(mixed.of_events(np.array([1, 2]), 4), 2, truth=True)
    pt, level = (lists(columns, name) for name in ("object_pt", "object_level"))
    assert [pt.row(k).tolist() for k in range(len(pt))] == [[50, 30, 90], [99]]
    assert level.row(0).tolist() == [LEVEL["reconstructed"], LEVEL["reconstructed"], LEVEL["generator"]]
    assert "object_role" in columns
    assert "object_role" not in object_columns(mixed, 3, truth=False)
