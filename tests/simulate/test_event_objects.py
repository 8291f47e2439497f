"""Reconstruction of objects: isolation, overlaps, tags, matching, missing momentum, selection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import vector
from hypothesis import given
from hypothesis import strategies as st

from hepfm.core.errors import ConfigError
from hepfm.data.schemas.events import OBJECT_ROLES, OBJECT_TYPES
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.simulate import jet_objects
from hepfm.simulate.event_objects import LEVEL, ROLE, Objects, make_objects, merge_objects, object_columns
from hepfm.simulate.event_pairs import nearest_first, pairs_of_events
from hepfm.simulate.event_selection import EventSelection
from hepfm.simulate.events import missing_momentum
from hepfm.simulate.isolated_objects import isolated_objects, isolation_sums
from hepfm.simulate.jet_objects import BOTTOM, CHARM, LIGHT, b_tagged
from hepfm.simulate.object_matching import with_matched_roles
from hepfm.simulate.object_overlaps import remove_overlaps
from hepfm.simulate.object_recipe import (
    OVERLAPS,
    BTag,
    Electrons,
    Muons,
    ObjectRecipe,
    Overlap,
    Photons,
    TagRate,
)
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import Record
from hepfm.simulate.recipe import read_simulation


def make_candidates(number: int, events: int, *, seed: int = 0, kind: str | None = None) -> Candidates:
    """Return random candidates of some events."""
    rng = np.random.default_rng(seed)
    pt, eta, phi = rng.exponential(10, number), rng.normal(0, 1, number), rng.uniform(-np.pi, np.pi, number)
    pid = (
        rng.integers(0, len(PID_CLASSES), number)
        if kind is None
        else np.full(number, PID_CLASSES.index(kind))
    )
    nothing = np.zeros(number)
    energy = pt * np.cosh(eta)
    return Candidates(
        event=rng.integers(0, events, number),
        p4=np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1),
        pt=pt,
        eta=eta,
        phi=phi,
        energy=energy,
        charge=rng.integers(-1, 2, number).astype(float),
        pid=pid,
        d0=nothing,
        d0_error=nothing,
        dz=nothing,
        dz_error=nothing,
        entry=np.arange(number),
    )


def objects(*rows: tuple[Any, ...]) -> Objects:
    """Return objects from (event, type, pt, eta, phi[, charge[, role, level]])."""
    made = []
    for event, kind, pt, eta, phi, *rest in rows:
        charge, role, level = [*rest, *(0.0, "none", "reconstructed")[len(rest) :]]
        values = (np.array([float(one)]) for one in (pt, eta, phi, pt * np.cosh(eta)))
        extra = {"charge": np.array([float(charge)]), "role": np.array([ROLE[role]])}
        made.append(make_objects(np.array([event]), tuple(values), kind, level=level, **extra))  # type: ignore[arg-type]
    return merge_objects(*made)


def types(found: Objects) -> list[str]:
    return [OBJECT_TYPES[kind] for kind in found.type]


def test_isolation_is_the_sum_around_the_candidate_without_it() -> None:
    candidates = make_candidates(120, 3)
    rows = np.arange(0, 120, 7)
    expected = []
    for one in rows:
        a = vector.obj(pt=1.0, phi=candidates.phi[one], eta=candidates.eta[one])
        total = 0.0
        for other in range(120):
            b = vector.obj(pt=1.0, phi=candidates.phi[other], eta=candidates.eta[other])
            near = candidates.event[one] == candidates.event[other] and a.deltaR(b) < 0.8
            total += candidates.pt[other] if near and other != one and candidates.pt[other] > 2 else 0.0
        expected.append(total)
    assert max(expected) > 0
    np.testing.assert_allclose(isolation_sums(candidates, rows, cone=0.8, pt_min=2.0), expected)


@pytest.mark.parametrize("kind", ["electron", "muon", "photon"])
def test_identification_has_the_efficiency_asked_for(kind: str) -> None:
    candidates = make_candidates(40_000, 1, kind=kind)
    candidates = replace(candidates, event=np.arange(40_000))  # alone in their events: all are isolated
    options = {"pt_min": 5.0, "eta_max": 2.0, "efficiency_central": 0.8, "efficiency_forward": 0.3}
    recipe = ObjectRecipe.model_validate({f"{kind}s": options})
    found = isolated_objects(candidates, recipe, np.random.default_rng(1))
    assert set(types(found)) == {kind}
    assert found.pt.min() > 5.0
    assert np.abs(found.eta).max() < 2.0
    for central, efficiency in ((True, 0.8), (False, 0.3)):
        region = (np.abs(candidates.eta) <= 1.5) == central
        region &= (candidates.pt > 5.0) & (np.abs(candidates.eta) < 2.0)
        rate = ((np.abs(found.eta) <= 1.5) == central).sum() / region.sum()
        assert rate == pytest.approx(efficiency, abs=4 * np.sqrt(0.25 / region.sum()))


def test_objects_that_are_not_isolated_are_left_out() -> None:
    candidates = make_candidates(2000, 40)
    loose = {
        f"{kind}s": {"efficiency_central": 1.0, "efficiency_forward": 1.0} for kind in ("electron", "muon")
    }
    tight = {name: {**options, "isolation": 0.0} for name, options in loose.items()}
    number = [
        len(isolated_objects(candidates, ObjectRecipe.model_validate(one), np.random.default_rng(0)))
        for one in ({name: {**options, "isolation": 1e9} for name, options in loose.items()}, tight)
    ]
    assert number[1] < number[0] / 2


def test_tag_rates_are_those_of_the_card() -> None:
    """At a jet pt of 30 GeV, from the comments in Delphes' cards."""
    tag = BTag()
    rates = {name: float(getattr(tag, name)(np.array(30.0))) for name in ("b", "c", "light")}
    assert rates == pytest.approx({"b": 0.5504389, "c": 0.1186208, "light": 0.01114}, rel=1e-5)
    assert Electrons().isolation == Photons().isolation == 0.12
    assert Muons().isolation == 0.25


def test_b_tags_have_the_rate_of_their_flavour(monkeypatch: pytest.MonkeyPatch) -> None:
    number = 60_000
    rng = np.random.default_rng(0)
    pt, eta = rng.uniform(30, 300, number), rng.uniform(-3, 3, number)
    jets = make_objects(np.arange(number), (pt, eta, np.zeros(number), pt * np.cosh(eta)), "jet")
    flavour = rng.choice([LIGHT, CHARM, BOTTOM], number)
    monkeypatch.setattr(jet_objects, "jet_flavours", lambda *_, **__: flavour)
    options = BTag(c=TagRate(constant=0.2), light=TagRate(constant=-0.5, slope=0.004))
    tag = b_tagged(cast(Record, None), jets, options, rng).b_tag
    assert set(tag) == {0.0, 1.0}
    assert not tag[np.abs(eta) >= 2.5].any()
    for kind, rate in ((LIGHT, options.light), (CHARM, options.c), (BOTTOM, options.b)):
        for low in (30, 120, 210):
            mine = (flavour == kind) & (np.abs(eta) < 2.5) & (pt > low) & (pt < low + 90)
            error = np.sqrt(0.25 / mine.sum())
            assert tag[mine].mean() == pytest.approx(rate(pt[mine]).mean(), abs=4 * error)
    assert options.light(np.array([50.0, 1000.0])).tolist() == [0.0, 1.0], "rates stay between 0 and 1"


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


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 5))
def test_nearest_first_is_what_one_does_by_hand(seed: int, number: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    i, j, distance = rng.integers(0, kinds, number), rng.integers(0, kinds, number), rng.random(number)
    expected: dict[int, int] = {}
    for pair in np.argsort(distance):
        if i[pair] not in expected and j[pair] not in expected.values():
            expected[int(i[pair])] = int(j[pair])
    found = nearest_first(i, j, distance)
    assert dict(zip(*(index.tolist() for index in found), strict=True)) == expected


def test_pairs_are_all_of_the_same_event() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 30), rng.integers(0, 6, 40)
    i, j = pairs_of_events(first, second)
    expected = {(a, b) for a in range(30) for b in range(40) if first[a] == second[b]}
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert len(i) == len(expected)
    empty = np.zeros(0, np.int64)
    assert all(len(index) == 0 for index in pairs_of_events(empty, second))


def test_missing_momentum_balances_the_candidates() -> None:
    candidates = make_candidates(200, 4)
    met = missing_momentum(candidates, 5)  # the last event has none
    for axis in (1, 2):
        sums = np.bincount(candidates.event, candidates.p4[:, axis], minlength=5)
        np.testing.assert_allclose(met.p4[:, axis], -sums, atol=1e-9)
    assert met.pt[4] == 0
    np.testing.assert_array_equal(met.energy, met.pt)
    assert set(types(met)) == {"met"}


def test_lists_are_ordered_and_of_the_events_wanted() -> None:
    mixed = objects(
        (1, "jet", 30, 0, 0),
        (0, "jet", 20, 0, 0),
        (1, "top", 90, 0, 0, 2 / 3, "none", "generator"),
        (1, "met", 50, 0, 0),
        (2, "jet", 99, 0, 0),
    )
    columns = object_columns(mixed, np.array([1, 2]), 4)
    pt, level = columns["object_pt"], columns["object_level"]
    assert [pt.row(k).tolist() for k in range(len(pt))] == [[50, 30, 90], [99]]
    assert level.row(0).tolist() == [LEVEL["reconstructed"], LEVEL["reconstructed"], LEVEL["generator"]]


EVENTS = objects(
    *((0, "electron", 40, 0, 0, 1), (0, "muon", 30, 0, 1, -1), (0, "jet", 60, 1, 2), (0, "met", 70, 0, 0)),
    *(
        (1, "electron", 40, 0, 0, 1),
        (1, "muon", 30, 0, 1, 1),
        (1, "muon", 20, 0, 2, -1),
        (1, "met", 10, 0, 0),
    ),
    *((2, "photon", 40, 0, 0), (2, "tau", 40, 0, 2, 1), (2, "met", 5, 0, 0)),
)
PASSING = [
    ({}, [True, True, True]),
    ({"leptons_min": 2}, [True, True, False]),
    ({"leptons_min": 2, "leptons_max": 2}, [True, False, False]),
    ({"opposite_sign": True}, [True, False, False]),
    ({"jets_max": 0}, [False, True, True]),
    ({"photons_min": 1, "taus_min": 1}, [False, False, True]),
    ({"met_min": 8}, [True, True, False]),
    ({"lepton_pt_min": 39}, [True, True, False]),
    ({"lepton_pt_min": 41}, [False, False, False]),
    ({"objects_min": 3}, [True, True, False]),
    ({"muons_min": 2}, [False, True, False]),
]


@pytest.mark.parametrize(("selection", "expected"), PASSING)
def test_selection(selection: dict[str, Any], expected: list[bool]) -> None:
    assert EventSelection.model_validate(selection).passing(EVENTS, 3).tolist() == expected


def test_b_jets_are_jets_with_a_tag() -> None:
    tagged = EVENTS.with_b_tags(EVENTS.of_type("jet").astype(float))
    assert EventSelection(b_jets_min=1).passing(tagged, 3).tolist() == [True, False, False]
    assert not EventSelection(b_jets_min=1).passing(EVENTS, 3).any()


def values(**changes: Any) -> dict[str, Any]:
    tops = {"pythia": ["Beams:eCM = 13000.", "Top:gg2ttbar = on"]}
    return {"kind": "events", "events": {"train": 4}, "mpi": False, "classes": {"tt": tops}, **changes}


MISTAKES = [
    ({"selection": {"leptons_min": 3, "leptons_max": 2}}, "leptons_max 2 must not be below leptons_min 3"),
    ({"selection": {"jets_min": 3, "jets_max": 1}}, "jets_max 1 must not be below jets_min 3"),
    ({"selection": {"opposite_sign": True, "leptons_max": 1}}, "opposite_sign needs two leptons"),
    ({"selection": {"leptons": 2}}, "unknown key 'selection.leptons'; did you mean 'leptons_"),
    ({"objects": {"jets": {"radius": 0}}}, "objects.jets.radius"),
    ({"objects": {"muons": {"efficiency_central": 1.5}}}, "objects.muons.efficiency_central"),
    ({"objects": {"overlaps": [{"drop": "met", "near": "jet", "radius": 0.4}]}}, "objects.overlaps.0.drop"),
    ({"classes": {"X": {"pythia": [], "masses": [500]}}}, "say which particle has these masses"),
    (
        {"classes": {"X": {"pythia": [], "resonance": 32, "masses": [500, 500]}}},
        "masses names one twice: 500",
    ),
    ({"classes": {"X": {"pythia": [], "resonance": 32, "masses": [-5]}}}, r"classes.X.masses.0"),
    ({"classes": {"X": {}}}, r"'classes.X.pythia' is missing"),
    ({"classes": {}}, "'classes' is empty"),
    ({"only": ["t"]}, "unknown class 't' in 'only'; did you mean 'tt'"),
    ({"classes": {"X": {"pythia": [], "match": {"parton": "q"}}}}, "unknown key 'classes.X.match'"),
    ({"events": {"train": 0}}, "no events asked for"),
    ({"detector": "delphes"}, "unknown detector 'delphes'"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_simulation(values(**changes))


def test_lines_and_particles_that_pythia_does_not_know() -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    with pytest.raises(ConfigError, match="class X: Pythia does not take the line 'Top:al = on'"):
        read_simulation(values(classes={"X": {"pythia": ["Top:al = on"]}})).check()
    unknown = {"X": {"pythia": ["Top:gg2ttbar = on"], "resonance": 77777}}
    with pytest.raises(ConfigError, match="class X: Pythia knows no particle 77777; check resonance"):
        read_simulation(values(classes=unknown)).check()


def test_masses_and_variants_are_all_combined() -> None:
    process = {"pythia": [], "resonance": 32, "masses": [500, 750], "variants": [["a"], ["b"]]}
    recipe = read_simulation(values(classes={"X": process})).config
    lines = [recipe.lines("X", chunk)[-2:] for chunk in range(5)]
    assert lines[:4] == [
        ("32:m0 = 500", "a"),
        ("32:m0 = 500", "b"),
        ("32:m0 = 750", "a"),
        ("32:m0 = 750", "b"),
    ]
    assert lines[4] == lines[0]
