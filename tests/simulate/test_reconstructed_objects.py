"""Reconstruction of objects: isolation, overlaps, tags, matching, missing momentum, selection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import vector
from event_objects import objects, types

from hepfm.core.errors import ConfigError
from hepfm.data.event_objects import make_objects, missing_momentum
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.simulate import jet_objects
from hepfm.simulate.event_selection import EventSelection
from hepfm.simulate.isolated_objects import isolated_objects, isolation_sums
from hepfm.simulate.jet_objects import BOTTOM, CHARM, LIGHT, b_tagged
from hepfm.simulate.object_recipe import (
    BTag,
    Electrons,
    Muons,
    ObjectRecipe,
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


def test_missing_momentum_balances_the_candidates() -> None:
    candidates = make_candidates(200, 4)
    _, px, py, _ = candidates.p4.T
    met = missing_momentum(candidates.event, px, py, 5)  # the last event has none
    for axis in (1, 2):
        sums = np.bincount(candidates.event, candidates.p4[:, axis], minlength=5)
        np.testing.assert_allclose(met.p4[:, axis], -sums, atol=1e-9)
    assert met.pt[4] == 0
    np.testing.assert_array_equal(met.energy, met.pt)
    assert set(types(met)) == {"met"}


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
