"""Ingest of the LHC Olympics' events, as pandas writes them: clustering, truth, black boxes, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from format_files import lhco_events, write_lhco, write_lhco_features

from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns, lists
from hepfm.data.ingest import ingest
from hepfm.data.readers import lhco
from hepfm.data.store import Store
from hepfm.physics.kinematics import four_momentum, mass_of
from hepfm.testing.readers import ReaderCase

fastjet = pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
pytest.importorskip("h5py", reason="the extra 'io' is not installed")
pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")


def read(path: Path, **options: Any) -> Columns:
    return ReaderCase("lhco", path, options).columns()


def value(columns: Columns, name: str) -> Any:
    return np.asarray(columns[name])


def p4_of(particles: Any) -> Any:
    """Return the sum of massless particles given by pt, eta and phi."""
    pt, eta, phi = np.asarray(particles, float).T
    return four_momentum(pt, eta, phi, pt * np.cosh(eta)).sum(axis=0)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lhco(tmp_path_factory.mktemp("lhco") / "events_anomalydetection.h5")


def test_rows_are_the_leading_jets_of_an_event(events: Path) -> None:
    columns = read(events)
    first, third = lhco_events()[[0, 2]]
    jets = np.array([p4_of(first[[1, 2]]), p4_of(first[[0, 3]]), p4_of(third[:2])])
    assert np.hypot(*jets[0, 1:3]) > np.hypot(*jets[1, 1:3])
    np.testing.assert_allclose(value(columns, "jet_energy"), jets[:, 0], rtol=1e-6)
    np.testing.assert_allclose(value(columns, "jet_pt"), np.hypot(*jets[:, 1:3].T), rtol=1e-6)
    np.testing.assert_allclose(value(columns, "jet_phi"), np.arctan2(jets[:, 2], jets[:, 1]), rtol=1e-6)
    np.testing.assert_allclose(
        value(columns, "event_dijet_mass"), [*[mass_of(jets[0] + jets[1])] * 2, 0], rtol=1e-6
    )
    np.testing.assert_array_equal(value(columns, "jet_label"), [1, 1, 0])
    one, two, other = value(columns, "event_id")
    assert one == two != other
    np.testing.assert_allclose(lists(columns, "part_pt").values, [800, 400, 900, 300, 50, 25])
    np.testing.assert_allclose(lists(columns, "part_phi").values, [3.1, -3.1, 0.1, 0.3, 2.0, 2.2], rtol=1e-6)
    np.testing.assert_allclose(
        lists(columns, "part_energy").values[2:4], np.cosh([0.5, 0.4]) * [900, 300], rtol=1e-6
    )


def test_a_store_has_classes_groups_and_random_splits_of_whole_events(events: Path, tmp_path: Path) -> None:
    store = Store.open(
        ingest("lhco", [events], output=tmp_path / "s", split={"train": 0.5, "test": 0.5}, seed=1)
    )
    list(store.verify())
    assert store.schema.label_classes == ("background", "signal")
    assert store.schema.group == "event_id"
    assert {len(rows) for rows in store.splits.values()} == {1, 2}
    assert not {"part_charge", "part_pid", "part_d0", "jet_tau1"} & set(store.schema.names())


def test_clustering_is_that_of_fastjet_itself(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    particles = np.zeros((4, 700, 3))
    for event, size in enumerate((40, 5, 120, 60)):
        particles[event, :size] = np.stack(
            [rng.exponential(30, size), rng.normal(0, 1.5, size), rng.uniform(-np.pi, np.pi, size)], axis=1
        )
    path = write_lhco(tmp_path / "x.h5", [0, 1, 0, 1], events=particles)
    columns = read(path, radius=0.7, num_jets=3, min_pt=30)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.7)
    expected = []
    for event in particles:
        pt, eta, phi = event[event[:, 0] > 0].T
        p4 = four_momentum(pt, eta, phi, pt * np.cosh(eta))
        inputs = [fastjet.PseudoJet(px, py, pz, energy) for energy, px, py, pz in p4.tolist()]
        sequence = fastjet.ClusterSequence(inputs, definition)
        expected += [
            (jet.pt(), jet.eta(), jet.e(), len(jet.constituents()))
            for jet in fastjet.sorted_by_pt(sequence.inclusive_jets(30.0))[:3]
        ]
    found = [value(columns, f"jet_{name}") for name in ("pt", "eta", "energy")]
    np.testing.assert_allclose(
        np.stack([*found, lists(columns, "part_pt").lengths], axis=1), expected, rtol=1e-5, atol=1e-6
    )
    assert len(expected) > 8


def test_options_select_jets(events: Path) -> None:
    whole = read(events)
    leading = read(events, num_jets=1)
    np.testing.assert_array_equal(value(leading, "jet_pt"), value(whole, "jet_pt")[[0, 2]])
    np.testing.assert_array_equal(
        value(leading, "event_dijet_mass"), value(whole, "event_dijet_mass")[[0, 2]]
    )
    assert len(value(read(events, num_jets=None, min_pt=1), "jet_pt")) == 4
    central = read(events, max_abs_eta=0.4)
    np.testing.assert_array_equal(value(central, "jet_pt"), value(whole, "jet_pt")[[0]])
    np.testing.assert_array_equal(value(central, "event_dijet_mass"), [0])


def test_substructure(events: Path) -> None:
    columns = read(events, substructure=True)
    pt, eta, energy = (value(columns, f"jet_{name}").astype(float) for name in ("pt", "eta", "energy"))
    mass = np.sqrt(energy**2 - (pt * np.cosh(eta)) ** 2)
    # Two particles that each have more than a tenth of the pt are kept; around two axes nothing is left over.
    np.testing.assert_allclose(value(columns, "jet_softdrop_mass"), mass, rtol=1e-3)
    assert (value(columns, "jet_tau1") > 0.02).all()
    np.testing.assert_allclose(value(columns, "jet_tau2"), 0, atol=1e-6)


def test_pieces_make_no_difference(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(events)
    monkeypatch.setattr(lhco, "EVENT_ROWS", 1)
    for name, column in read(events).items():
        expected = whole[name]
        np.testing.assert_array_equal(
            getattr(column, "values", column), getattr(expected, "values", expected)
        )


def test_the_same_event_of_two_files_is_no_group(events: Path, tmp_path: Path) -> None:
    changed = lhco_events()
    changed[:, 0, 0] += 1
    other = read(write_lhco(tmp_path / "b.h5", events=changed))
    assert not set(value(other, "event_id")) & set(value(read(events), "event_id"))


# --- black boxes ----------------------------------------------------------------------------------


def black_box(folder: Path, key: str | None) -> Path:
    path = write_lhco(folder / "events_LHCO2020_BlackBox1.h5", None)
    if key is not None:
        path.with_suffix(".masterkey").write_text(key, encoding="utf-8")
    return path


def test_a_black_box_has_no_label_unless_its_key_is_read(tmp_path: Path) -> None:
    path = black_box(tmp_path, "0\n1\n1\n")
    assert "jet_label" not in read(path)
    np.testing.assert_array_equal(value(read(path, masterkey=True), "jet_label"), [0, 0, 1])
    reader = ReaderCase("lhco", path, {"masterkey": True}).build()
    assert reader.schema(path).label_classes == ("background", "signal")
    path.with_suffix(".masterkey").write_text("2.0 0.0 1.0", encoding="utf-8")
    np.testing.assert_array_equal(value(read(path, masterkey=True), "jet_label"), [2, 2, 1])
    assert reader.schema(path).label_classes == ("background", "signal", "signal_2")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, r"BlackBox1\.masterkey is missing"),
        ("0\n1\n", r"masterkey has 2 numbers, and .*BlackBox1\.h5 3 events"),
        ("0\n1\nsignal\n", r"masterkey must hold a number for each event: .*'signal'"),
        ("0\n1\n0.5\n", r"masterkey, event 2: the truth is 0\.5; expected 0 .* another signal"),
        ("0\n-1\n0\n", r"masterkey, event 1: the truth is -1"),
    ],
)
def test_bad_keys(tmp_path: Path, key: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ingest("lhco", [black_box(tmp_path, key)], output=tmp_path / "s", options={"masterkey": True})


def test_a_file_with_truth_needs_no_key(events: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has the truth in its last column; leave the option masterkey out"):
        ingest("lhco", [events], output=tmp_path / "s", options={"masterkey": True})


# --- bad input ------------------------------------------------------------------------------------


def test_the_file_of_features_is_refused_with_what_to_take(tmp_path: Path) -> None:
    path = write_lhco_features(tmp_path / "events_anomalydetection_v2.features.h5")
    with pytest.raises(DataError, match=r"no particles; read it as lhco_features, or take .*_v2\.h5"):
        ingest("lhco", [path], output=tmp_path / "s")


def test_high_level_features_are_fields_of_events(tmp_path: Path) -> None:
    path = write_lhco_features(tmp_path / "events_anomalydetection_v2.features.h5")
    store = Store.open(ingest("lhco_features", [path], output=tmp_path / "s"))
    list(store.verify())
    raw, found = pd.read_hdf(path), store.read(store.schema.names())
    assert store.schema.label_classes == ("background", "signal")
    np.testing.assert_array_equal(found["event_label"], raw["label"])
    momenta = []
    for jet in (1, 2):
        px, py, pz, mass = (raw[f"{name}j{jet}"].to_numpy() for name in ("px", "py", "pz", "m"))
        momenta.append(np.stack([np.sqrt(px**2 + py**2 + pz**2 + mass**2), px, py, pz], axis=1))
        np.testing.assert_allclose(found[f"jet{jet}_pt"], np.hypot(px, py), rtol=1e-6)
        np.testing.assert_allclose(found[f"jet{jet}_eta"], np.arcsinh(pz / np.hypot(px, py)), rtol=1e-5)
        np.testing.assert_allclose(found[f"jet{jet}_phi"], np.arctan2(py, px), rtol=1e-5)
        np.testing.assert_allclose(found[f"jet{jet}_mass"], mass, rtol=1e-6)
        for n in (1, 2, 3):
            np.testing.assert_allclose(found[f"jet{jet}_tau{n}"], raw[f"tau{n}j{jet}"], rtol=1e-6)
    np.testing.assert_allclose(found["event_dijet_mass"], mass_of(momenta[0] + momenta[1]), rtol=1e-6)


@pytest.mark.parametrize("columns", [["pt", "eta", "phi"], range(5), range(1, 4), range(2)])
def test_other_columns_are_refused(tmp_path: Path, columns: Any) -> None:
    path = tmp_path / "x.h5"
    pd.DataFrame(np.ones((3, len(columns))), columns=list(columns)).to_hdf(path, key="df", format="fixed")
    with pytest.raises(
        DataError, match=r"x\.h5 is no file of the LHC Olympics: expected columns called 0, 1, 2"
    ):
        ingest("lhco", [path], output=tmp_path / "s")


@pytest.mark.parametrize(
    ("place", "bad", "shown"),
    [
        (0, -5.0, "-5, 1, 2"),
        (0, np.nan, "nan, 1, 2"),
        (0, np.inf, "inf, 1, 2"),
        (1, 1000.0, "50, 1000, 2"),
        (1, np.nan, "50, nan, 2"),
        (2, np.inf, "50, 1, inf"),
        (0, 1e8, "1e+08, 1, 2"),
    ],
)
def test_momenta_that_cannot_be(tmp_path: Path, place: int, bad: float, shown: str) -> None:
    particles = lhco_events()
    particles[2, 0, place] = bad
    path = write_lhco(tmp_path / "x.h5", events=particles)
    with pytest.raises(DataError, match=r"x\.h5, event 2: particle 0 has pt, eta, phi = ") as error:
        ingest("lhco", [path], output=tmp_path / "s")
    assert shown in str(error.value)


@pytest.mark.parametrize("bad", [2, 0.5, np.nan])
def test_a_truth_that_is_none(tmp_path: Path, bad: float) -> None:
    path = write_lhco(tmp_path / "x.h5", [0, bad, 0])
    with pytest.raises(
        DataError, match=rf"x\.h5, event 1: the truth is {bad:g}; expected 0 \(background\), 1"
    ):
        ingest("lhco", [path], output=tmp_path / "s")
