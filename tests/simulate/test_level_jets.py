"""Jets at particle and detector level: pairs, observables, resolution, the schema of the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import write_omnifold

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Columns, lists
from hepfm.core.schema import Schema
from hepfm.data.ingest import ingest
from hepfm.data.level_pairs import SIX_FIELDS, pair_levels, six_observables
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.schemas.levels import OBSERVABLES
from hepfm.data.store import Store
from hepfm.physics.clustering import events_of_momenta, import_fastjet
from hepfm.physics.kinematics import delta_r, four_momentum, mass_of, rapidity, wrap_phi
from hepfm.simulate.cards import CMS_CARD
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.level_jets import make_chunk
from hepfm.simulate.pythia import configured
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

pytestmark = pytest.mark.xdist_group("level_jets")  # its fixture is slow: made once, by one worker

EVENTS = 200
SIZES = ["jets.val=0", "jets.test=0"]


def made(*overrides: str, events: int = EVENTS, recipe: str = "zjets_fast") -> dict[str, Array]:
    """Return the columns of one chunk."""
    simulation = read_simulation(recipe, overrides=[f"jets.train={events}", *SIZES, *overrides], seed=7)
    return dict(make_chunk(simulation.config, ChunkKey("Zjets", "train", 0, events)).columns)


@pytest.fixture(scope="module")
def jets() -> Columns:
    return made()


def value(columns: Columns, name: str) -> Any:
    return np.asarray(columns[name])


def test_every_event_has_a_jet_and_its_two_are_near_each_other(jets: Columns) -> None:
    event, level = value(jets, "event_id"), value(jets, "jet_level")
    numbers, counts = np.unique(event, return_counts=True)
    assert len(numbers) == EVENTS
    assert (np.diff(np.unique(event, return_index=True)[1]) != 0).all()
    assert set(counts) == {1, 2}
    assert len(np.unique(np.stack([event, level]), axis=1).T) == len(event)
    pairs = pair_levels(jets)
    both = pairs.passes["particle"] & pairs.passes["detector"]
    assert EVENTS / 2 < both.sum() < EVENTS
    assert (~pairs.passes["detector"]).any()
    assert (~pairs.passes["particle"]).any()
    distance = distances(jets)
    assert distance.max() <= 0.2
    assert np.median(distance) < 0.05
    assert (value(jets, "jet_pt") > 150).all()
    assert (np.abs(value(jets, "jet_eta")) <= 2.5).all()


def distances(jets: Columns) -> Any:
    """Return the distance of the two jets of each pair that has both."""
    pairs = pair_levels(jets)
    both = pairs.passes["particle"] & pairs.passes["detector"]
    at = {
        name: [pairs.values(name, value(jets, f"jet_{axis}"), missing=0)[both] for axis in ("eta", "phi")]
        for name in ("particle", "detector")
    }
    return delta_r(*at["particle"], *at["detector"])


def test_a_smaller_radius_tears_pairs_and_changes_no_jet(jets: Columns) -> None:
    strict = made("levels.match_radius=0.01")
    for name in ("jet_pt", "event_id", "jet_level"):
        np.testing.assert_array_equal(value(strict, name), value(jets, name))
    assert distances(strict).max() <= 0.01
    torn = pair_levels(strict)
    event, counts = np.unique(torn.event_id, return_counts=True)
    assert (counts == 2).sum() > 20, "an inefficiency and a fake of one event"
    for number in event[counts == 2][:5]:
        own = torn.event_id == number
        assert sorted(torn.passes["particle"][own]) == sorted(torn.passes["detector"][own]) == [False, True]
    far = distances(jets) > 0.01
    assert len(torn) == len(pair_levels(jets)) + far.sum()


def test_the_jets_of_an_event_are_of_one_collision(jets: Columns) -> None:
    event, pz = value(jets, "event_id"), value(jets, "z_pt")
    order = np.argsort(event, kind="stable")
    same = event[order][1:] == event[order][:-1]
    for name in ("z_pt", "z_rapidity", "z_phi"):
        column = value(jets, name)[order]
        np.testing.assert_array_equal(column[1:][same], column[:-1][same])
        assert len(np.unique(column)) == EVENTS
    assert pz.min() >= 200
    back = np.abs(wrap_phi(value(jets, "jet_phi") - value(jets, "z_phi")))
    assert np.median(back) > 3.0, "the leading jet recoils against the boson"


def test_without_a_detector_both_levels_are_the_same_jet() -> None:
    same = made("detector=none", events=60)
    level = value(same, "jet_level")
    assert (level.reshape(-1, 2) == [0, 1]).all()
    assert value(same, "pass_particle").all()
    assert value(same, "pass_detector").all()
    for name, column in same.items():
        if name != "jet_level" and not name.startswith("part_"):
            np.testing.assert_array_equal(column[level == 0], column[level == 1], err_msg=name)
    np.testing.assert_array_equal(
        lists(same, "part_pt").take(level == 0).values, lists(same, "part_pt").take(level == 1).values
    )


def test_cuts_of_the_levels_are_their_own() -> None:
    loose = made("levels.particle={pt_min: 250, pt_max: 7000, eta_max: 1.0}", events=60)
    particle = value(loose, "jet_level") == 1
    assert value(loose, "jet_pt")[particle].min() > 250
    assert np.abs(value(loose, "jet_eta")[particle]).max() <= 1.0
    assert value(loose, "jet_pt")[~particle].min() < 250
    assert (~value(loose, "pass_particle")).sum() > 20


def test_observables_are_those_of_the_stored_constituents(jets: Columns) -> None:
    fastjet, _ = import_fastjet()
    parts = [lists(jets, f"part_{name}") for name in ("pt", "eta", "phi", "energy")]
    for row in range(40):
        p4 = four_momentum(*(part.row(row).astype(float) for part in parts))
        whole = p4.sum(axis=0)
        pt = np.hypot(p4[:, 1], p4[:, 2])
        assert np.hypot(*whole[1:3]) == pytest.approx(value(jets, "jet_pt")[row], rel=1e-5)
        axis = rapidity(whole[3], whole[0]), np.arctan2(whole[2], whole[1])
        far = delta_r(rapidity(p4[:, 3], p4[:, 0]), np.arctan2(p4[:, 2], p4[:, 1]), *axis) / 0.4
        assert len(pt) == value(jets, "omnifold_multiplicity")[row]
        for name, beta in (("lha", 0.5), ("width", 1), ("angularity2", 2)):
            expected = (pt * far**beta).sum() / pt.sum()
            assert value(jets, f"omnifold_{name}")[row] == pytest.approx(expected, rel=1e-4)
        sequence = fastjet.ClusterSequence(
            events_of_momenta(p4, np.array([len(p4)])), fastjet.JetDefinition(fastjet.cambridge_algorithm, 10)
        )
        groomed = sequence.exclusive_jets_softdrop_grooming(njets=1, beta=0.0, symmetry_cut=0.1, R0=0.4)
        mass, zg = (float(groomed[name][0]) for name in ("msoftdrop", "symmetrysoftdrop"))
        assert value(jets, "omnifold_softdrop_mass")[row] == pytest.approx(max(mass, 0), rel=2e-3, abs=0.05)
        assert value(jets, "omnifold_zg")[row] == pytest.approx(max(zg, 0), rel=1e-3)
        # One-pass axes end in a minimum that rounding may change.
        assert value(jets, "omnifold_tau2")[row] == pytest.approx(tau2(sequence), rel=0.02, abs=1e-5)


def tau2(sequence: Any) -> float:
    found = sequence.njettiness(
        measure_definition="NormalizedMeasure", axes_definition="OnePass_KT_Axes", njets=2, beta=1, R0=0.4
    )
    return float(np.asarray(found).reshape(-1)[0])


def test_the_six_observables(jets: Columns) -> None:
    six = six_observables({name: jets[name] for name in SIX_FIELDS})
    assert list(six) == ["mass", "width", "multiplicity", "ln_rho", "zg", "tau21"]
    parts = [lists(jets, f"part_{name}") for name in ("pt", "eta", "phi", "energy")]
    mass = [
        mass_of(four_momentum(*(part.row(row).astype(float) for part in parts)).sum(0)) for row in range(30)
    ]
    np.testing.assert_allclose(six["mass"][:30], mass, rtol=2e-3, atol=0.05)
    assert all(np.isfinite(values).all() for values in six.values())
    assert (six["ln_rho"] >= -14).all()
    assert (six["tau21"] <= 1.2).mean() > 0.95
    groomed = value(jets, "omnifold_softdrop_mass").astype(float)
    some = groomed > 1
    expected = np.log(groomed**2 / value(jets, "jet_pt").astype(float) ** 2)
    np.testing.assert_allclose(six["ln_rho"][some], expected[some], rtol=1e-6)


def test_the_resolution_is_about_that_of_the_card(jets: Columns) -> None:
    """It lies between that of the calorimeters alone and that of neutral particles beside perfect tracks."""
    pairs = pair_levels(jets)
    both = pairs.passes["particle"] & pairs.passes["detector"]
    truth, seen = (
        pairs.values(level, value(jets, "jet_pt"), missing=np.nan)[both] for level in ("particle", "detector")
    )
    response = seen / truth
    assert np.median(response) == pytest.approx(1, abs=0.04)
    low, high = np.percentile(response, [16, 84])
    rows = np.flatnonzero((value(jets, "jet_level") == 1) & value(jets, "pass_detector"))
    pid, energy, eta = (lists(jets, f"part_{name}").take(rows) for name in ("pid", "energy", "eta"))
    hadron = np.isin(pid.values, [PID_CLASSES.index(f"{kind}_hadron") for kind in ("charged", "neutral")])
    neutral = pid.values == PID_CLASSES.index("neutral_hadron")
    photon = pid.values == PID_CLASSES.index("photon")
    ecal, hcal = (
        calorimeter.sigma(energy.values.astype(float), eta.values.astype(float)) / np.cosh(eta.values)
        for calorimeter in (CMS_CARD.ecal, CMS_CARD.hcal)
    )
    best, worst = (
        np.median(
            np.sqrt(np.bincount(pid.row_index(), (ecal * photon) ** 2 + (hcal * kind) ** 2))
            / value(jets, "jet_pt")[rows]
        )
        for kind in (neutral, hadron)
    )
    assert best < (high - low) / 2 < 1.3 * worst
    assert worst < 5 * best


def by_name(schema: Schema) -> dict[str, Any]:
    return {field.name: field for field in schema}


def test_the_schema_is_that_of_the_reader(tmp_path: Path) -> None:
    path = write_omnifold(tmp_path / "Pythia26_Zjet_pTZ-200GeV_0.npz")
    public = Store.open(
        ingest("omnifold", [path], output=tmp_path / "s", options={"jet_class": "Zjets"})
    ).schema
    simulated = read_simulation("zjets").schema()
    assert by_name(simulated) == by_name(public)
    assert (simulated.row, simulated.label, simulated.group) == (public.row, public.label, public.group)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stored(tmp_path_factory.mktemp("levels") / "one", processes=1)


def stored(path: Path, *, processes: int) -> Store:
    overrides = ["jets={train: 20, val: 8, test: 0}", "chunk_jets=10", "batch_events=30"]
    return Store.open(simulate("zjets_fast", output=path, overrides=overrides, processes=processes).path)


def test_two_processes_make_the_same_store(store: Store, tmp_path: Path) -> None:
    assert stored(tmp_path / "two", processes=2).fingerprint == store.fingerprint


def test_splits_share_no_event_and_pairs_are_found_again(store: Store) -> None:
    list(store.verify())
    assert store.schema.weight is None
    numbers = []
    for split, events in (("train", 20), ("val", 8)):
        columns = store.read(store.schema.names(), store.split(split))
        pairs = pair_levels(columns)
        assert len(np.unique(pairs.event_id)) == events
        numbers.append(pairs.event_id)
        rows = np.concatenate(list(pairs.rows.values()))
        assert sorted(rows) == list(range(len(columns["event_id"]))), "every row is in one pair"
    assert not len(np.intersect1d(*numbers))
    facts = store.provenance["classes"]["Zjets"]
    assert facts["jets_kept"] == store.num_rows <= facts["jets_found"] <= 2 * facts["events"]


def test_the_alternative_is_another_tune_with_other_jets(jets: Columns) -> None:
    config = read_simulation("zjets_alternative").config
    tuned, plain = (
        configured(recipe.lines("Zjets", 0), where="test").settings
        for recipe in (config, read_simulation("zjets").config)
    )
    assert (plain.mode("Tune:pp"), tuned.mode("Tune:pp")) == (14, 26)
    assert plain.parm("TimeShower:alphaSvalue") == 0.1365
    assert tuned.parm("TimeShower:alphaSvalue") == 0.111
    other = made(recipe="zjets_alternative_fast")
    assert not len(np.intersect1d(value(other, "event_id"), value(jets, "event_id")))
    counts = [
        value(columns, "omnifold_multiplicity")[value(columns, "jet_level") == 1] for columns in (jets, other)
    ]
    error = np.sqrt(sum(count.var() / len(count) for count in counts))
    assert counts[0].mean() - counts[1].mean() > 2 * error, "a smaller alphaS radiates less"


def test_events_may_be_weighted(tmp_path: Path) -> None:
    biased = ["PhaseSpace:bias2Selection = on", "PhaseSpace:bias2SelectionPow = 4."]
    lines = ", ".join(f'"{line}"' for line in biased)
    overrides = ["jets={train: 30, val: 0, test: 0}", "batch_events=60", f"classes.Zjets.pythia=[{lines}]"]
    store = Store.open(simulate("zjets_fast", output=tmp_path / "s", overrides=overrides, processes=1).path)
    assert store.schema.weight == "jet_weight"
    columns = store.read(store.schema.names())
    weight, pairs = value(columns, "jet_weight"), pair_levels(columns)
    assert weight.mean() == pytest.approx(1, abs=1e-5)
    both = pairs.passes["particle"] & pairs.passes["detector"]
    one, other = (pairs.values(level, weight, missing=0)[both] for level in pairs.rows)
    np.testing.assert_array_equal(one, other)
    assert np.corrcoef(weight, value(columns, "z_pt"))[0, 1] < -0.3


BAD = [
    ("levels.match_radius=0", r"levels\.match_radius.*greater than 0"),
    ("levels.match_radius=-0.1", r"levels\.match_radius.*greater than 0"),
    (
        "levels.particle={pt_min: 300, pt_max: 200}",
        r"levels\.particle.*pt_max 200\.0 must be above pt_min 300",
    ),
    ("selection.pt_max=10", r"selection.*pt_max 10\.0 must be above pt_min 150"),
    ("levels={z_boson: false, z_pt_min: 200}", "z_pt_min 200 needs the Z boson"),
    ("tracks=true", "particles have no measured tracks"),
    ("substructure=true", "particles have no measured tracks, and levels has observables of its own"),
    ("truth=true", "levels stores no truth of constituents"),
    ("dijet={}", "a recipe has one of levels and dijet"),
    ("resimulate={}", "a recipe has one of resimulate and levels"),
    ("classes.Zjets.match={parton: g}", r"levels takes the leading jets of every event.*\(of Zjets\)"),
]


@pytest.mark.parametrize(("override", "message"), BAD)
def test_mistakes_in_recipes(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        read_simulation("zjets_fast", overrides=[override])


def test_a_tune_that_pythia_does_not_have() -> None:
    with pytest.raises(ConfigError, match=r"class Zjets: .*Tune:pp"):
        read_simulation("zjets_fast", overrides=['classes.Zjets.pythia=["Tune:pp = 999"]']).check()


HOPELESS = [
    (["selection={pt_min: 5000, pt_max: 6000}"], "None is left of those with a jet within the cuts at det"),
    (["levels.z_pt_min=5000"], "None is left of those with a Z boson that is used"),
]


@pytest.mark.parametrize(("overrides", "message"), HOPELESS)
def test_no_event_passes(overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.simulate.collisions.HOPELESS_EVENTS", 80)
    with pytest.raises(ConfigError, match=rf"class Zjets: no event passed in 80 events\. {message}"):
        made(*overrides, "batch_events=80", events=5)


def test_events_without_a_boson() -> None:
    dijets = 'classes.Zjets.pythia=["HardQCD:all = on", "WeakBosonAndParton:qqbar2gmZg = off", '
    dijets += '"WeakBosonAndParton:qg2gmZq = off"]'
    with pytest.raises(ConfigError, match=r"60 of 60 events have no Z boson; set levels\.z_boson: false"):
        made(dijets, "batch_events=60", events=5)
    without = made(dijets, "batch_events=60", "levels.z_boson=false", "levels.z_pt_min=0", events=5)
    assert "z_pt" not in without
    assert {field.name for field in OBSERVABLES} < set(without)


def test_the_flags_of_the_reader_say_which_jets_there_are(tmp_path: Path) -> None:
    path = write_omnifold(tmp_path / "x.npz")
    columns = Store.open(ingest("omnifold", [path], output=tmp_path / "s")).read(
        ["event_id", "jet_level", "pass_particle", "pass_detector", "jet_pt"]
    )
    assert value(columns, "pass_particle").tolist() == [True, True, True, False]
    assert value(columns, "pass_detector").tolist() == [True, True, False, True]
    pairs = pair_levels(columns)
    np.testing.assert_allclose(
        pairs.values("particle", value(columns, "jet_pt"), missing=np.nan), [203.2, 100, np.nan], rtol=1e-6
    )
    np.testing.assert_allclose(
        pairs.values("detector", value(columns, "jet_pt"), missing=np.nan), [195, np.nan, 50], rtol=1e-6
    )
