"""Generator level of events: particles of the hard process, their momenta, charges and roles."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from hepfm.data.event_objects import EventObjects
from hepfm.data.schemas.events import INITIAL_STATES, OBJECT_ROLES, OBJECT_TYPES
from hepfm.physics.kinematics import mass_of
from hepfm.simulate.generator_objects import generator_objects, hard_tree, initial_states
from hepfm.simulate.pythia import PythiaGenerator, Record

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")

EVENTS = 40
TOPS = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
LEPTONIC = ("24:onMode = off", "24:onIfAny = 11 13")


QUIET = ("PartonLevel:ISR = off", "PartonLevel:FSR = off", "HadronLevel:all = off")


@cache
def generated(*lines: str, shower: bool = False) -> tuple[Record, EventObjects]:
    """Return a few events and their hard particles; without a shower nothing recoils."""
    more = () if shower else QUIET
    pythia = PythiaGenerator(
        ["Beams:eCM = 13000.", "PartonLevel:MPI = off", *more, *lines], seed=7, where="test"
    )
    record = pythia.batch(EVENTS)
    return record, generator_objects(record, pythia.charges)


def roles(objects: EventObjects, event: int) -> dict[str, int]:
    """Return how often each role occurs in an event."""
    names = [OBJECT_ROLES[role] for role in objects.role[objects.event == event]]
    return dict(Counter(name for name in names if name != "none"))


def every_event_has(expected: dict[str, int], *lines: str) -> None:
    _, objects = generated(*lines)
    for event in range(EVENTS):
        assert roles(objects, event) == expected


def test_roles_of_top_pairs() -> None:
    leptonic = {f"{top}_{what}": 1 for top in ("t", "tbar") for what in ("b", "l", "nu")}
    every_event_has(leptonic, *TOPS, *LEPTONIC, "6:onMode = off", "6:onIfAny = 5")
    hadronic = {f"{top}_{what}": n for top in ("t", "tbar") for what, n in (("b", 1), ("q", 2))}
    every_event_has(
        hadronic, *TOPS, "24:onMode = off", "24:onIfAny = 1 2 3 4", "6:onMode = off", "6:onIfAny = 5"
    )


def test_the_b_quark_of_the_w_of_a_top_is_one_of_its_quarks() -> None:
    lines = (*TOPS, "24:onMode = off", "24:onIfMatch = 4 5", "6:onMode = off", "6:onIfAny = 5")
    every_event_has({"t_b": 1, "t_q": 2, "tbar_b": 1, "tbar_q": 2}, *lines)


def test_roles_follow_the_outermost_resonance_of_the_standard_model() -> None:
    four_leptons = ("HiggsSM:gg2H = on", "25:onMode = off", "25:onIfMatch = 24 -24", *LEPTONIC)
    every_event_has({"h_l": 2, "h_nu": 2}, *four_leptons)
    zprime = ("NewGaugeBoson:ffbar2gmZZprime = on", "Zprime:gmZmode = 3", "32:m0 = 1000.", "32:onMode = off")
    tops = {f"{top}_{what}": 1 for top in ("t", "tbar") for what in ("b", "l", "nu")}
    cabibbo = ("6:onMode = off", "6:onIfAny = 5")
    every_event_has(tops, *zprime, "32:onIfAny = 6", *LEPTONIC, *cabibbo)
    every_event_has({"x_tau": 2}, *zprime, "32:onIfAny = 15")
    pseudoscalar = ("Higgs:useBSM = on", "HiggsBSM:gg2A3 = on", "HiggsA3:coup2H1Z = 1.", "36:onMode = off")
    decays = ("36:m0 = 500.", "36:onIfMatch = 23 25", "23:onMode = off", "23:onIfAny = 13")
    every_event_has(
        {"z_l": 2, "h_photon": 2}, *pseudoscalar, *decays, "25:onMode = off", "25:onIfMatch = 22 22"
    )


def test_of_two_bosons_the_first_has_the_greater_pt() -> None:
    zz = ("WeakDoubleBoson:ffbar2gmZgmZ = on", "23:mMin = 60.", "23:onMode = off", "23:onIfAny = 11")
    every_event_has({"z_l": 2, "z2_l": 2}, *zz)
    every_event_has({"w_l": 1, "w_nu": 1, "w2_l": 1, "w2_nu": 1}, "WeakDoubleBoson:ffbar2WW = on", *LEPTONIC)
    # Without a shower both have one pt: with it they differ.
    _, objects = generated(*zz, shower=True)
    px, py = objects.p4[:, 1], objects.p4[:, 2]
    pt = {
        name: np.hypot(*(np.bincount(objects.event[mine], part[mine]) for part in (px, py)))
        for name in ("z_l", "z2_l")
        for mine in (objects.role == OBJECT_ROLES.index(name),)
    }
    assert (pt["z_l"] > pt["z2_l"]).all()


def test_initial_states() -> None:
    expected = {
        "gg": ("Top:gg2ttbar = on",),
        "qqbar": ("Top:qqbar2ttbar = on",),
        "qg": ("PromptPhoton:qg2qgamma = on", "PhaseSpace:pTHatMin = 50."),
        "qq": ("Top:qq2tq(t:W) = on",),
    }
    for name, lines in expected.items():
        record, _ = generated(*lines)
        assert (initial_states(record) == INITIAL_STATES.index(name)).all(), name
    record, _ = generated("LowEnergyQCD:all = off", "SoftQCD:elastic = on")
    assert (initial_states(record) == INITIAL_STATES.index("other")).all()


def test_daughters_add_up_to_their_resonance() -> None:
    """With showers and recoil: exactly for what decays to no further resonance; a top's W has moved since."""
    record, objects = generated(*TOPS, *LEPTONIC, shower=True)
    tree = hard_tree(record)
    p4 = np.stack([record.energy, record.px, record.py, record.pz], axis=-1)[tree.entry]
    has = tree.parent >= 0
    sums = np.stack(
        [np.bincount(tree.parent[has], p4[has, axis], minlength=len(p4)) for axis in range(4)], axis=-1
    )
    np.testing.assert_allclose(objects.p4, p4, rtol=1e-9, atol=1e-6)
    w, top = objects.of_type("w"), objects.of_type("top")
    assert (w.sum(), top.sum()) == (2 * EVENTS, 2 * EVENTS)
    np.testing.assert_allclose(sums[w], p4[w], atol=1e-6 * p4[:, 0].max())
    np.testing.assert_allclose(mass_of(sums[top]), mass_of(p4[top]), rtol=0.2)
    assert np.median(np.abs(mass_of(sums[top]) / mass_of(p4[top]) - 1)) < 0.02
    assert not np.allclose(sums[top], p4[top], rtol=1e-3), "the last copies of W have recoiled"
    assert np.median(mass_of(p4[w])) == pytest.approx(80.4, abs=1.0)
    assert np.median(mass_of(p4[top])) == pytest.approx(172.5, abs=1.5)


def test_charge_is_conserved() -> None:
    record, objects = generated(*TOPS, shower=True)
    tree = hard_tree(record)
    has = tree.parent >= 0
    sums = np.bincount(tree.parent[has], objects.charge[has], minlength=len(objects))
    decays = objects.of_type("top", "w")
    np.testing.assert_allclose(sums[decays], objects.charge[decays], atol=1e-9)
    tops = objects.of_type("top")
    np.testing.assert_allclose(objects.charge[tops], 2 / 3 * np.sign(objects.pdg[tops]))


def test_types_by_code() -> None:
    _, objects = generated(*TOPS)
    names = np.array(OBJECT_TYPES)[objects.type]
    for code, name in (
        (6, "top"),
        (24, "w"),
        (5, "bottom"),
        (2, "quark"),
        (11, "electron"),
        (12, "neutrino"),
    ):
        mine = np.abs(objects.pdg) == code
        assert mine.any()
        assert set(names[mine]) == {name}
    _, objects = generated("LeptoQuark:gg2LQLQbar = on", "42:0:products = 5 15", "42:m0 = 500.")
    names = np.array(OBJECT_TYPES)[objects.type]
    assert set(names[np.abs(objects.pdg) == 42]) == {"other"}
    assert roles(objects, 0) == {"x_b": 2, "x_tau": 2}


def test_a_resonance_along_the_beam_has_a_finite_direction() -> None:
    """Without radiation a single Higgs boson has no pt at all."""
    _, objects = generated("HiggsSM:gg2H = on", "25:onMode = off", "25:onIfMatch = 22 22")
    higgs = objects.take(objects.of_type("higgs"))
    assert len(higgs) == EVENTS
    assert np.isfinite(higgs.eta).all()
    photons = objects.take(objects.of_type("photon"))
    pz = np.bincount(photons.event, photons.p4[:, 3])
    np.testing.assert_allclose(higgs.p4[:, 3], pz, rtol=1e-6)


def test_a_resonance_at_rest_has_a_direction() -> None:
    """As in e+e- collisions at the mass of the Z: pt is 0, and so is eta by convention."""
    lines = ("Beams:idA = 11", "Beams:idB = -11", "Beams:eCM = 91.2", "PDF:lepton = off")
    _, objects = generated(*lines, "WeakSingleBoson:ffbar2gmZ = on", "23:onMode = off", "23:onIfAny = 13")
    z = objects.take(objects.of_type("z"))
    assert len(z) == EVENTS
    np.testing.assert_allclose(z.p4[:, 0], 91.2, rtol=1e-6)
    np.testing.assert_allclose(z.p4[:, 1:], 0, atol=1e-6)
    assert roles(objects, 0) == {"z_l": 2}
