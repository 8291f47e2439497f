"""Whole events from Pythia to the store: physics of top pairs and Z bosons, tags, weights, workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhe_events import write_events
from scipy.stats import ks_2samp

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.data.event_features import EVENT
from hepfm.data.schemas.events import INITIAL_STATES, OBJECT_ROLES, OBJECT_TYPES
from hepfm.data.store import Store
from hepfm.physics.kinematics import delta_r, four_momentum, mass_of
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.events import make_chunk
from hepfm.simulate.pythia import PythiaGenerator
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
pytestmark = pytest.mark.xdist_group("simulated_events")  # its fixture is slow: made once, by one worker

TOPS = ["Top:gg2ttbar = on", "Top:qqbar2ttbar = on", "24:onMode = off", "24:onIfAny = 11 13"]
Z = ["WeakSingleBoson:ffbar2gmZ = on", "23:mMin = 60.", "23:onMode = off", "23:onIfAny = 11 13"]
EVENTS = 250


def test_unseen_processes_are_not_among_the_processes() -> None:
    seen, unseen = (read_simulation(name).config for name in ("processes", "unseen_processes"))
    assert len(seen.class_names) >= 16
    assert not set(seen.class_names) & set(unseen.class_names)
    assert seen.objects == unseen.objects
    assert seen.selection == unseen.selection


def recipe(classes: dict[str, Any], *, train: int = EVENTS, **changes: Any) -> dict[str, Any]:
    """Return a recipe of events without multi-parton interactions."""
    return {
        "kind": "events",
        "events": {"train": train},
        "mpi": False,
        "pythia": ["Beams:eCM = 13000."],
        "classes": {name: one if isinstance(one, dict) else {"pythia": one} for name, one in classes.items()},
        **changes,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Dileptonic top pairs and leptonic Z bosons; every b jet has a b tag, and nothing else."""
    path = tmp_path_factory.mktemp("events") / "store"
    tags = {"b": {"constant": 1.0}, "c": {}, "light": {}}
    values = recipe({"tt": TOPS, "Z": Z}, objects={"b_tag": tags})
    return Store.open(simulate(values, output=path, processes=1).path)


@pytest.fixture(scope="module")
def columns(store: Store) -> Columns:
    return store.read(store.schema.names())


def chosen(columns: Columns, *types: str, level: int = 0, process: int | None = None) -> Array:
    """Return a mask of the objects of some types and a level."""
    kind = lists(columns, "object_type")
    mask = np.isin(kind.values, [OBJECT_TYPES.index(name) for name in types])
    mask &= lists(columns, "object_level").values == level
    if process is not None:
        mask &= np.asarray(columns["event_label"])[kind.row_index()] == process
    return mask


def momenta(columns: Columns) -> Array:
    names = ("object_pt", "object_eta", "object_phi", "object_energy")
    return four_momentum(*(lists(columns, name).values.astype(np.float64) for name in names))


def summed(columns: Columns, mask: Array) -> Array:
    """Return the sum of the momenta of the chosen objects of each event, (events, 4)."""
    row = lists(columns, "object_pt").row_index()[mask]
    p4, number = momenta(columns)[mask], len(lists(columns, "object_pt"))
    return np.stack([np.bincount(row, p4[:, axis], minlength=number) for axis in range(4)], axis=-1)


def counts(columns: Columns, mask: Array) -> Array:
    return np.bincount(lists(columns, "object_pt").row_index()[mask], minlength=len(columns["event_label"]))


def test_every_event_has_one_missing_momentum_and_its_hard_process(columns: Columns) -> None:
    assert (counts(columns, chosen(columns, "met")) == 1).all()
    tt = np.asarray(columns["event_label"]) == 0
    for name, number in (("neutrino", 2), ("top", 2), ("w", 2), ("bottom", 2)):
        found = counts(columns, chosen(columns, name, level=1))
        assert (found[tt] >= (number if name != "bottom" else 1)).all(), name
        assert found[tt].mean() == pytest.approx(number, abs=0.02)
    assert (counts(columns, chosen(columns, "z", level=1))[~tt] == 1).all()
    met = chosen(columns, "met")
    np.testing.assert_array_equal(lists(columns, "object_eta").values[met], 0)
    seen = lists(columns, "object_level").values == 0
    assert (lists(columns, "object_pdg").values[seen] == 0).all()
    assert (lists(columns, "object_pdg").values[~seen] != 0).all()


def test_stored_daughters_add_up_to_the_w(columns: Columns) -> None:
    roles = lists(columns, "object_role").values
    for sign, name in ((1, "t"), (-1, "tbar")):
        daughters = np.isin(roles, [OBJECT_ROLES.index(f"{name}_{what}") for what in ("l", "nu")])
        pair = summed(columns, daughters & (lists(columns, "object_level").values == 1))
        w = chosen(columns, "w", level=1) & (lists(columns, "object_pdg").values == 24 * sign)
        np.testing.assert_allclose(pair, summed(columns, w), rtol=1e-5, atol=0.01)


def test_masses_of_tops_and_z(columns: Columns) -> None:
    top = mass_of(momenta(columns)[chosen(columns, "top", level=1)])
    assert np.median(top) == pytest.approx(172.5, abs=1.0)
    leptons = chosen(columns, "electron", "muon", process=1)
    two = counts(columns, leptons) == 2
    assert two.sum() > 50
    masses = mass_of(summed(columns, leptons))[two]
    assert np.median(masses) == pytest.approx(91.2, abs=1.0)
    assert np.mean(np.abs(masses - 91.2) < 5) > 0.6


def test_missing_momentum_is_that_of_the_neutrinos_within_the_resolution(columns: Columns) -> None:
    met, neutrinos = (
        summed(columns, chosen(columns, name, level=level))[:, 1:3]
        for name, level in (("met", 0), ("neutrino", 1))
    )
    tt = np.asarray(columns["event_label"]) == 0
    error = np.percentile(np.abs(met - neutrinos)[tt], 68)
    assert 5 < error < 30
    assert np.percentile(np.abs(np.roll(met, 1, axis=0) - neutrinos)[tt], 68) > 1.7 * error, (
        "of another event"
    )
    assert np.median(np.hypot(*met.T)[~tt]) < 15 < 40 < np.median(np.hypot(*met.T)[tt])


def test_nothing_overlaps(columns: Columns) -> None:
    row, eta, phi = (
        lists(columns, "object_eta").row_index(),
        lists(columns, "object_eta").values,
        lists(columns, "object_phi").values,
    )
    leptons = np.flatnonzero(chosen(columns, "electron", "muon", "photon", "tau"))
    jets = np.flatnonzero(chosen(columns, "jet"))
    same = row[leptons][:, None] == row[jets]
    distance = delta_r(eta[leptons][:, None], phi[leptons][:, None], eta[jets], phi[jets])
    assert same.any()
    assert distance[same].min() > 0.4


def test_leptons_have_the_charge_and_the_role_of_what_made_them(columns: Columns) -> None:
    roles = np.array(OBJECT_ROLES)[lists(columns, "object_role").values]
    charge = lists(columns, "object_charge").values
    leptons = chosen(columns, "electron", "muon", process=0)
    assert np.mean(np.isin(roles[leptons], ["t_l", "tbar_l"])) > 0.97, "isolated leptons are prompt"
    assert np.mean(charge[leptons & (roles == "t_l")] == 1) > 0.995
    assert np.mean(charge[leptons & (roles == "tbar_l")] == -1) > 0.995
    assert set(charge[chosen(columns, "jet", "met", "photon")]) == {0.0}
    numbers = counts(columns, leptons)[np.asarray(columns["event_label"]) == 0]
    assert 1.0 < numbers.mean() < 1.7  # two, times acceptance, efficiency and isolation
    assert numbers.max() <= 3


def test_only_b_jets_are_tagged_when_asked_for(columns: Columns) -> None:
    jets = chosen(columns, "jet") & (np.abs(lists(columns, "object_eta").values) < 2.5)
    tag, roles = (
        lists(columns, "object_b_tag").values,
        np.array(OBJECT_ROLES)[lists(columns, "object_role").values],
    )
    of_tops = jets & np.isin(roles, ["t_b", "tbar_b"])
    assert of_tops.sum() > 200
    assert tag[of_tops].mean() > 0.96
    assert tag[jets & ~of_tops].mean() < 0.1  # b quarks from gluons, and b jets beyond the matching radius
    assert not tag[~jets].any()


def test_taus_have_the_efficiency_and_the_mistag_rate_asked_for() -> None:
    to_taus = [*Z[:-1], "23:onIfAny = 15", "TauDecays:mode = 0"]  # isotropic decays are fast
    found = {}
    for name, options in {
        "efficient": {"efficiency": 1.0, "mistag": 0.0},
        "mistagged": {"efficiency": 0.0, "mistag": 1.0},
    }.items():
        config = read_simulation(recipe({"Z": to_taus}, objects={"taus": options})).config
        columns = make_chunk(config, ChunkKey("Z", "train", 0, EVENTS)).columns
        taus = chosen(columns, "tau")
        roles = np.array(OBJECT_ROLES)[lists(columns, "object_role").values[taus]]
        charge = lists(columns, "object_charge").values[taus]
        found[name] = (taus.sum(), np.mean(roles == "z_tau"), set(charge))
    number, matched, charges = found["efficient"]
    assert number > 50
    assert matched > 0.97
    assert charges == {-1.0, 1.0}
    assert found["mistagged"][1] < 0.2


def test_the_same_events_come_from_any_number_of_workers(tmp_path: Path) -> None:
    small = recipe({"Z": {"pythia": Z, "variants": [[], ["23:onIfAny = 13"]]}}, train=12, chunk_events=3)
    stores = [
        Store.open(simulate(small, output=tmp_path / str(number), processes=number).path) for number in (1, 2)
    ]
    assert stores[0].fingerprint == stores[1].fingerprint
    simulation = read_simulation(small)
    keys = simulation.chunks()
    assert [key.rows for key in keys] == [3, 3, 3, 3]
    alone = simulation.make(keys[2]).columns["object_pt"]
    again = simulation.make(keys[2]).columns["object_pt"]
    other = simulation.make(keys[0]).columns["object_pt"]
    assert isinstance(alone, Ragged)
    assert isinstance(again, Ragged)
    assert isinstance(other, Ragged)
    np.testing.assert_array_equal(alone.values, again.values)
    assert not np.array_equal(alone.values[:5], other.values[:5])
    first = {round(float(pt), 3) for pt in alone.values}
    assert first <= {round(float(pt), 3) for pt in lists(stores[0].read(["object_pt"]), "object_pt").values}


def test_expected_yields_from_the_provenance(store: Store) -> None:
    row = store.manifest.provenance["classes"]["Z"]
    (process,) = row["processes"]
    assert process["events"] == process["events_found"] >= process["events_kept"] == EVENTS
    assert process["sum_of_event_weights"] == pytest.approx(process["events"], rel=0.01)
    reference = PythiaGenerator(["PartonLevel:all = off", "Beams:eCM = 13000.", *Z], seed=99, where="test")
    reference.batch(2000)
    assert process["sigma_mb"] == pytest.approx(reference.sigma_mb, rel=0.06)
    assert store.schema.weight is None


def test_weights_of_a_biased_phase_space_are_kept(tmp_path: Path) -> None:
    bias = ["HardQCD:all = on", "PhaseSpace:pTHatMin = 50.", "PhaseSpace:bias2Selection = on"]
    values = recipe(
        {"QCD": [*bias, "PhaseSpace:bias2SelectionPow = 4.", "PhaseSpace:bias2SelectionRef = 50."]}, train=60
    )
    store = Store.open(simulate(values, output=tmp_path / "store", processes=1).path)
    weights = np.asarray(store.read(["event_weight"])["event_weight"], np.float64)
    assert store.schema.weight == "event_weight"
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights.max() > 3 * weights.min()
    row = store.manifest.provenance["classes"]["QCD"]
    assert row["weights"] == "event_weight has a mean of 1 over the events of each variant of the class"
    assert row["processes"][0]["unit"] < 1


def test_masses_of_a_resonance_are_stored(tmp_path: Path) -> None:
    lines = ["NewGaugeBoson:ffbar2gmZZprime = on", "Zprime:gmZmode = 3", "32:onMode = off", "32:onIfAny = 13"]
    process = {"pythia": lines, "resonance": 32, "masses": [500, 1000]}
    store = Store.open(simulate(recipe({"X": process}, train=30), output=tmp_path / "s", processes=1).path)
    columns = store.read(store.schema.names())
    mass = np.asarray(columns["event_resonance_mass"])
    assert sorted(set(mass)) == [500, 1000]
    generated = mass_of(summed(columns, chosen(columns, "other", level=1)))
    assert np.median(np.abs(generated / mass - 1)) < 0.05
    row = store.manifest.provenance["classes"]["X"]
    assert row["variants"] == [["32:m0 = 500"], ["32:m0 = 1000"]]
    processes = row["processes"]
    assert [one["events_kept"] for one in processes] == [15, 15]
    assert processes[0]["sigma_mb"] > 2 * processes[1]["sigma_mb"]


def test_truth_is_left_out_when_not_asked_for(tmp_path: Path) -> None:
    values = recipe({"Z": Z}, train=20, truth=False)
    store = Store.open(simulate(values, output=tmp_path / "store", processes=1).path)
    assert not {"object_role", "object_pdg", "event_initial_state", "event_resonance_mass"} & {
        *store.schema.names()
    }
    columns = store.read(store.schema.names())
    assert (lists(columns, "object_level").values == 0).all()
    assert set(EVENT.base) <= {*store.schema.names()}


def test_events_that_are_kept_pass_the_selection(tmp_path: Path) -> None:
    selection = {"leptons_min": 2, "leptons_max": 2, "opposite_sign": True, "jets_min": 1, "met_min": 20}
    simulation = read_simulation(recipe({"tt": TOPS}, selection=selection))
    chunk = simulation.make(ChunkKey("tt", "train", 0, 30))
    leptons = chosen(chunk.columns, "electron", "muon")
    assert chunk.events > chunk.passed >= chunk.rows == 30
    assert (counts(chunk.columns, leptons) == 2).all()
    charge, row = lists(chunk.columns, "object_charge"), lists(chunk.columns, "object_pt").row_index()
    assert (np.bincount(row[leptons], charge.values[leptons]) == 0).all()
    assert (counts(chunk.columns, chosen(chunk.columns, "jet")) >= 1).all()
    assert lists(chunk.columns, "object_pt").values[chosen(chunk.columns, "met")].min() > 20


def test_events_of_a_les_houches_file_keep_their_hard_process(tmp_path: Path) -> None:
    """Pairs of gluons above 700 GeV, half of the events with a weight of -1."""
    file = write_events(tmp_path / "gluons.lhe", np.where(np.arange(40) % 4, 1.0, -1.0))
    lines = ["Beams:frameType = 4", f"Beams:LHEF = {file}"]
    values = recipe({"gg": lines}, train=30, pythia=[], chunk_events=10, batch_events=5)
    store = Store.open(simulate(values, output=tmp_path / "store", processes=1).path)
    columns = store.read(store.schema.names())
    assert (np.asarray(columns["event_initial_state"]) == INITIAL_STATES.index("gg")).all()
    gluons = chosen(columns, "gluon", level=1)
    assert (counts(columns, gluons) == 2).all()
    pt = lists(columns, "object_pt").values[gluons]
    assert ((pt > 699) & (pt < 801)).all()
    assert len({round(float(one), 2) for one in pt}) > 25, "no event is used twice"
    assert set(np.sign(np.asarray(columns["event_weight"]))) == {-1.0, 1.0}
    assert (lists(columns, "object_role").values == OBJECT_ROLES.index("none")).all()


HOPELESS = [
    ({"photons_min": 5}, "None is left of those with photons_min=5: "),
    ({"leptons_min": 1, "met_min": 12_000}, "None is left of those with met_min=12000: "),
    ({"leptons_max": 1, "opposite_sign": False, "leptons_min": 0, "jets_min": 40}, "with jets_min=40: "),
]


@pytest.mark.parametrize(("selection", "message"), HOPELESS)
def test_a_class_without_an_event_names_the_cut(
    monkeypatch: pytest.MonkeyPatch, selection: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("hepfm.simulate.collisions.HOPELESS_EVENTS", 60)
    simulation = read_simulation(recipe({"Z": Z}, selection=selection, batch_events=60))
    with pytest.raises(ConfigError, match="class Z: no event passed of 60 generated") as error:
        simulation.make(ChunkKey("Z", "train", 0, 5))
    assert message in str(error.value)
    assert "60 generated" in str(error.value)
    assert "change process or cut" in str(error.value)


def test_higgs_bosons_of_both_parities_differ_in_the_angle_between_their_leptons(tmp_path: Path) -> None:
    """Pythia reads the parity in some of its processes only."""
    sizes = ["mpi=false", "events.train=1500", "events.val=0", "events.test=0"]
    cuts = ["selection.leptons_min=0", "selection.opposite_sign=false"]
    path = tmp_path / "store"
    store = Store.open(simulate("higgs_cp", output=path, overrides=[*sizes, *cuts], processes=1).path)
    columns = store.read(["event_label", "object_phi", "object_type", "object_level"])
    kind, level = (lists(columns, f"object_{name}").values for name in ("type", "level"))
    leptons = np.isin(kind, [OBJECT_TYPES.index(name) for name in ("electron", "muon")]) & (level == 1)
    phi = lists(columns, "object_phi").keep(leptons)
    assert (phi.lengths == 2).all()
    first, second = phi.values.reshape(-1, 2).T
    angle = np.abs(np.mod(first - second + np.pi, 2 * np.pi) - np.pi)
    odd = columns["event_label"] == store.schema.label_classes.index("odd")
    assert ks_2samp(angle[odd], angle[~odd]).pvalue < 1e-3
    assert angle[odd].mean() > angle[~odd].mean()
