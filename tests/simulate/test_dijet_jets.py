"""Pairs of leading jets: the resonance, cuts, features of events, injection, the readers' schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import write_lhco, write_lhco_features

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Columns, concatenate, lists, take_rows
from hepfm.core.schema import Schema
from hepfm.data.dijets import dijet_features, write_dijet_features
from hepfm.data.ingest import ingest
from hepfm.data.mixtures import mix
from hepfm.data.store import Store
from hepfm.physics.clustering import cluster_jets
from hepfm.physics.kinematics import four_momentum, mass_of
from hepfm.physics.substructure import substructure
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.dijet_jets import make_chunk
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

pytestmark = pytest.mark.xdist_group("dijet_jets")  # its fixture is slow: made once, by one worker

EVENTS = 80
MOMENTUM = ("pt", "eta", "phi", "energy")


def made(name: str, *overrides: str, events: int = EVENTS) -> Columns:
    """Return the columns of one chunk of a class."""
    sizes = [f"jets={{train: {events}, val: 0, test: 0}}", *overrides]
    config = read_simulation("dijet_resonance", overrides=sizes, seed=3).config
    return make_chunk(config, ChunkKey(name, "train", 0, events)).columns


@pytest.fixture(scope="module")
def signal() -> Columns:
    return made("signal")


@pytest.fixture(scope="module")
def background() -> Columns:
    return made("background")


def value(columns: Columns, name: str) -> Any:
    return np.asarray(columns[name])


def masses(columns: Columns) -> Any:
    """Return the mass of each jet, the harder of each event in the first row."""
    return mass_of(
        four_momentum(*(value(columns, f"jet_{name}").astype(float) for name in MOMENTUM))
    ).reshape(-1, 2)


def test_two_jets_of_each_event_with_their_mass(signal: Columns, background: Columns) -> None:
    for columns, label in ((background, 0), (signal, 1)):
        event = value(columns, "event_id").reshape(-1, 2)
        assert (event[:, 0] == event[:, 1]).all()
        assert len(np.unique(event)) == EVENTS
        assert (value(columns, "jet_label") == label).all()
        pt = value(columns, "jet_pt").reshape(-1, 2)
        assert (pt[:, 0] >= pt[:, 1]).all()
        assert pt[:, 0].min() >= 1200
        p4 = four_momentum(*(value(columns, f"jet_{name}").astype(float) for name in MOMENTUM))
        mass = value(columns, "event_dijet_mass").reshape(-1, 2)
        np.testing.assert_allclose(mass[:, 0], mass_of(p4.reshape(-1, 2, 4).sum(1)), rtol=1e-4)
        np.testing.assert_array_equal(mass[:, 0], mass[:, 1])
        assert (mass >= 2300).all()
        assert (mass < 5000).all()
    assert not len(np.intersect1d(value(signal, "event_id"), value(background, "event_id")))


def test_the_signal_is_a_resonance_of_three_masses(signal: Columns, background: Columns) -> None:
    mass = value(signal, "event_dijet_mass")
    assert np.median(mass) == pytest.approx(3500, rel=0.04)
    near = [np.mean(np.abs(value(one, "event_dijet_mass") - 3500) < 200) for one in (signal, background)]
    assert near[0] > 0.5 > 2 * near[1]
    found, plain = np.sort(masses(signal), axis=1), np.sort(masses(background), axis=1)
    assert np.median(found[:, 0]) == pytest.approx(100, rel=0.1)
    assert np.median(found[:, 1]) == pytest.approx(500, rel=0.06)
    assert (np.abs(plain[:, 1] - 500) < 50).mean() < 0.3 < (np.abs(found[:, 1] - 500) < 50).mean()
    # A hard photon may be a jet of one constituent, which has no tau1.
    tau21 = [
        np.median(value(one, "jet_tau2") / np.maximum(value(one, "jet_tau1"), 1e-6))
        for one in (signal, background)
    ]
    assert tau21[0] < 0.7 * tau21[1], "two prongs"


def test_features_are_those_of_the_stored_constituents(signal: Columns) -> None:
    parts = [lists(signal, f"part_{name}") for name in MOMENTUM]
    p4 = four_momentum(*(part.values.astype(float) for part in parts))
    rows = parts[0].row_index()
    for axis, expected in enumerate(four_momentum(*(value(signal, f"jet_{name}") for name in MOMENTUM)).T):
        np.testing.assert_allclose(np.bincount(rows, p4[:, axis]), expected, rtol=1e-4, atol=0.1)
    inner = substructure(p4, parts[0].lengths, radius=1.0)
    np.testing.assert_allclose(value(signal, "jet_softdrop_mass"), inner.softdrop_mass, rtol=2e-3, atol=0.5)
    for n in (1, 2, 3):
        close = np.isclose(value(signal, f"jet_tau{n}"), inner.tau[:, n - 1], rtol=0.02, atol=1e-5)
        assert close.mean() > 0.97, "one-pass axes end in a minimum that rounding may change"
    again = cluster_jets(p4, parts[0].lengths, radius=1.0, min_pt=150.0)
    assert len(again) == len(rows[np.append(True, np.diff(rows) > 0)]), "each jet is one of R = 1 again"


def test_cuts_on_the_event() -> None:
    narrow = made("background", "dijet={mass_min: 2500, mass_max: 2800, leading_pt_min: 1300}", events=8)
    mass = value(narrow, "event_dijet_mass")
    assert ((mass >= 2500) & (mass < 2800)).all()
    assert value(narrow, "jet_pt")[::2].min() >= 1300


def alike(one: Schema, other: Schema) -> bool:
    """Tell whether schemas agree in everything but descriptions."""

    def plain(schema: Schema) -> dict[str, Any]:
        values = schema.to_dict()
        fields = {field["name"]: {**field, "description": ""} for field in values["fields"]}
        return {**values, "fields": fields}

    return plain(one) == plain(other)


def test_the_schemas_are_those_of_the_readers(tmp_path: Path) -> None:
    jets = write_lhco(tmp_path / "events_anomalydetection_v2.h5")
    public = Store.open(ingest("lhco", [jets], output=tmp_path / "jets", options={"substructure": True}))
    simulated = read_simulation("dijet_resonance").schema()
    assert alike(simulated, public.schema)
    features = write_lhco_features(tmp_path / "events_anomalydetection_v2.features.h5")
    events = Store.open(ingest("lhco_features", [features], output=tmp_path / "events"))
    made_of_jets = Store.open(write_dijet_features(public, tmp_path / "made"))
    assert alike(made_of_jets.schema, events.schema)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stored(tmp_path_factory.mktemp("dijets") / "one", processes=1)


def stored(path: Path, *, processes: int) -> Store:
    overrides = ["jets={train: 12, val: 4, test: 0}", "chunk_jets=12", "batch_events=20"]
    result = simulate("dijet_resonance", output=path, overrides=overrides, processes=processes)
    return Store.open(result.path)


def test_two_processes_make_the_same_store(store: Store, tmp_path: Path) -> None:
    assert stored(tmp_path / "two", processes=2).fingerprint == store.fingerprint


def test_a_row_of_features_for_each_event(store: Store, tmp_path: Path) -> None:
    made_of = Store.open(write_dijet_features(store, tmp_path / "features"))
    list(made_of.verify())
    assert made_of.schema.label_classes == ("background", "signal")
    for split, events in (("train", 24), ("val", 8)):
        rows = made_of.read(made_of.schema.names(), made_of.split(split))
        jets = store.read(store.schema.names(), store.split(split))
        assert len(rows["event_label"]) == events
        event = value(jets, "event_id")
        first = [int(np.flatnonzero(event == number).min()) for number in np.unique(event)]
        for row, start in enumerate(sorted(first)):
            pair = np.flatnonzero(event == event[start])
            pair = pair[np.argsort(-value(jets, "jet_pt")[pair])]
            for number, jet in enumerate(pair, start=1):
                for name in ("pt", "eta", "phi", "tau1", "tau2", "tau3"):
                    assert value(rows, f"jet{number}_{name}")[row] == value(jets, f"jet_{name}")[jet]
            assert value(rows, "event_label")[row] == value(jets, "jet_label")[start]
            assert value(rows, "event_dijet_mass")[row] == value(jets, "event_dijet_mass")[start]
        p4 = [
            four_momentum(pt, eta, phi, np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2))
            for pt, eta, phi, mass in (
                (value(rows, f"jet{n}_{name}").astype(float) for name in ("pt", "eta", "phi", "mass"))
                for n in (1, 2)
            )
        ]
        np.testing.assert_allclose(mass_of(p4[0] + p4[1]), value(rows, "event_dijet_mass"), rtol=1e-4)


def test_signal_is_injected_by_whole_events(store: Store, tmp_path: Path) -> None:
    mixed = Store.open(
        mix(store, tmp_path / "mixed", signal="signal", background="background", count=8, seed=1)
    )
    columns = mixed.read(["event_id", "jet_label", "sample"], mixed.split("train"))
    event, truth, sample = (value(columns, name) for name in ("event_id", "jet_label", "sample"))
    assert (truth == 1).sum() == 8
    _, counts = np.unique(event[truth == 1], return_counts=True)
    assert counts.tolist() == [2] * 4
    for number in np.unique(event):
        assert len(set(sample[event == number])) == 1


def test_no_features_without_substructure_or_of_three_jets(store: Store, tmp_path: Path) -> None:
    jets = write_lhco(tmp_path / "x.h5")
    plain = Store.open(ingest("lhco", [jets], output=tmp_path / "plain"))
    with pytest.raises(DataError, match=r"there is no jet_tau1 \(a simulation with dijet and substructure"):
        write_dijet_features(plain, tmp_path / "none")
    columns = store.read(store.schema.names())
    first = np.flatnonzero(value(columns, "event_id") == value(columns, "event_id")[0])[:1]
    with pytest.raises(DataError, match="has 3 jets, expected two at most"):
        dijet_features(concatenate([columns, take_rows(columns, first)]), store.schema)


BAD = [
    ("dijet={mass_min: 3000, mass_max: 2000}", "mass_max 2000 must be above mass_min 3000"),
    ("dijet.leading_pt_min=-1", "leading_pt_min.*greater than or equal to 0"),
    ("truth=true", "dijet stores no truth of constituents"),
    ("classes.signal.match={parton: g}", r"dijet takes the leading jets of every event.*\(of signal\)"),
    ("labeller=taus", "leave out labeller and match"),
]


@pytest.mark.parametrize(("override", "message"), BAD)
def test_mistakes_in_recipes(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_simulation("dijet_resonance", overrides=[override])


HOPELESS = [
    (["dijet.mass_min=12000", "dijet.mass_max=13000"], "None is left of those within mass_min=12000 GeV"),
    (["dijet={leading_pt_min: 6000}"], "None is left of those within leading_pt_min=6000 GeV"),
    (["selection.pt_min=6000"], "None is left of those with two jets within the selection"),
]


@pytest.mark.parametrize(("overrides", "message"), HOPELESS)
def test_no_event_passes(overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.simulate.collisions.HOPELESS_EVENTS", 40)
    with pytest.raises(ConfigError, match=rf"class background: no event passed in 40 events\. {message}"):
        made("background", *overrides, "batch_events=40", events=3)
