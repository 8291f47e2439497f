"""Ingest of OmniFold's Z + jets, written by NumPy: both levels, momenta, particles, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import omnifold_arrays, write_omnifold

from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns, lists
from hepfm.data.ingest import ingest
from hepfm.data.readers import omnifold
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.store import Store
from hepfm.testing.readers import ReaderCase

DETECTOR, PARTICLE = 0, 1
NAME = "Pythia26_Zjet_pTZ-200GeV_0.npz"


def read(path: Path, **options: Any) -> Columns:
    return ReaderCase("omnifold", path, options).columns()


def value(columns: Columns, name: str) -> Any:
    return np.asarray(columns[name])


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_omnifold(tmp_path_factory.mktemp("omnifold") / NAME)


def test_both_levels_of_an_event_are_rows_of_a_group(events: Path, tmp_path: Path) -> None:
    store = Store.open(ingest("omnifold", [events], output=tmp_path / "s"))
    list(store.verify())
    assert store.schema["jet_level"].classes == ("detector", "particle")
    assert store.schema.group == "event_id"
    assert store.schema.label is None
    columns = store.read(["jet_level", "event_id", "jet_pt"])
    # The second event has no jet at detector level, the third one none at particle level.
    np.testing.assert_array_equal(columns["jet_level"], [DETECTOR, PARTICLE, PARTICLE, DETECTOR])
    np.testing.assert_allclose(columns["jet_pt"], [195.0, 203.2, 100, 50], rtol=1e-6)
    numbers, counts = np.unique(columns["event_id"], return_counts=True)
    assert sorted(counts) == [1, 1, 2]
    assert numbers[counts == 2] == columns["event_id"][0] == columns["event_id"][1]


def test_particles_have_their_mass_at_particle_level_and_none_at_detector_level(events: Path) -> None:
    columns = read(events)
    pt, eta, phi, energy = (lists(columns, f"part_{name}") for name in ("pt", "eta", "phi", "energy"))
    np.testing.assert_allclose(pt.row(1), [200, 3, 0.2], rtol=1e-6)
    rapidity, mass = np.array([-1.2, -1.4, -1.1]), np.array([0, 0.93956542, 0.493677])
    transverse = np.hypot([200, 3, 0.2], mass)
    np.testing.assert_allclose(energy.row(1), transverse * np.cosh(rapidity), rtol=1e-6)
    np.testing.assert_allclose(pt.row(1) * np.sinh(eta.row(1)), transverse * np.sinh(rapidity), rtol=1e-5)
    np.testing.assert_allclose(phi.row(1), [3.2 - 2 * np.pi, 3.0, 3.4 - 2 * np.pi], rtol=1e-5)
    np.testing.assert_allclose(eta.row(0), [-1.2, -1.4, -1.1], rtol=1e-6)
    np.testing.assert_allclose(energy.row(0), [190, 2, 1] * np.cosh(eta.row(0)), rtol=1e-6)


def test_the_jet_is_that_of_the_file(events: Path) -> None:
    columns = read(events)
    pt, eta, phi, energy = (
        value(columns, f"jet_{name}").astype(float) for name in ("pt", "eta", "phi", "energy")
    )
    mass = np.sqrt(energy**2 - (pt * np.cosh(eta)) ** 2)
    np.testing.assert_allclose(mass, [11, 12, 0.1057, 4], rtol=1e-4, atol=2e-3)
    np.testing.assert_allclose(np.arctanh(pt * np.sinh(eta) / energy), [-1.2, -1.2, 0.5, 2], rtol=1e-5)
    np.testing.assert_allclose(phi, [3.1, 3.1, -2, 0.5], rtol=1e-6)
    assert abs(eta[0] + 1.2) > 1e-3


def test_every_decimal_stands_for_its_particle(tmp_path: Path) -> None:
    particles = np.zeros((3, 14, 4))
    particles[0, :, 0] = np.linspace(0.5, 0.1, 14)
    particles[0, :, 3] = np.float32(0.1) * np.arange(14)  # as single precision rounds them
    columns = read(write_omnifold(tmp_path / NAME, gen_particles=particles), level="particle")
    assert lists(columns, "part_charge").row(0).tolist() == [0, 1, -1, 0, -1, 1, -1, 1, 1, -1, 1, -1, 0, 0]
    kinds = [PID_CLASSES[number] for number in lists(columns, "part_pid").row(0)]
    assert kinds == [
        "photon",
        *["charged_hadron"] * 2,
        "neutral_hadron",
        *["electron"] * 2,
        *["muon"] * 2,
        *["charged_hadron"] * 4,
        *["neutral_hadron"] * 2,
    ]


def test_observables_and_the_boson_are_kept(events: Path) -> None:
    columns = read(events)
    np.testing.assert_array_equal(value(columns, "omnifold_multiplicity"), [3, 3, 1, 2])
    for place, name in enumerate(("lha", "width", "angularity2", "tau2", "softdrop_mass", "zg"), 1):
        expected = np.array([0.1, 0.1, 0.2, 0.3]) * place
        np.testing.assert_allclose(value(columns, f"omnifold_{name}"), expected, rtol=1e-6)
    np.testing.assert_allclose(value(columns, "z_pt"), [210, 210, 220, 230])
    np.testing.assert_allclose(value(columns, "z_rapidity"), [0.4, 0.4, -1, 1], rtol=1e-6)
    np.testing.assert_allclose(value(columns, "z_phi"), [6.2 - 2 * np.pi, 6.2 - 2 * np.pi, 0, -3], rtol=1e-5)


def test_options(tmp_path: Path) -> None:
    path = write_omnifold(tmp_path / NAME, w=np.array([0.5, 2.0, -1.0]))
    both = read(path)
    for level, rows in (("detector", [0, 3]), ("particle", [1, 2])):
        one = read(path, level=level)
        np.testing.assert_array_equal(value(one, "event_id"), value(both, "event_id")[rows])
        np.testing.assert_array_equal(value(one, "jet_pt"), value(both, "jet_pt")[rows])
    np.testing.assert_allclose(value(read(path, min_pt=60), "jet_pt"), [195, 203.2, 100], rtol=1e-6)
    np.testing.assert_allclose(value(read(path, max_abs_eta=1), "jet_pt"), [100], rtol=1e-6)
    labelled = read(path, jet_class={"Pythia21*": "Pythia21", "Pythia26*": "Pythia26"}, weight="w")
    np.testing.assert_array_equal(value(labelled, "jet_label"), [1, 1, 1, 1])
    np.testing.assert_array_equal(value(labelled, "jet_weight"), [0.5, 0.5, 2, -1])


def test_pieces_make_no_difference(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(events)
    monkeypatch.setattr(omnifold, "EVENT_ROWS", 1)
    monkeypatch.setattr("hepfm.data.tables.base.CHUNK_ROWS", 1)
    for name, column in read(events).items():
        expected = whole[name]
        np.testing.assert_array_equal(
            getattr(column, "values", column), getattr(expected, "values", expected)
        )


# --- bad input ------------------------------------------------------------------------------------


def changed(name: str, place: Any, number: float) -> dict[str, Any]:
    array = omnifold_arrays()[name].astype(float)
    array[place] = number
    return {name: array}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed("gen_particles", (0, 1, 3), 0.15), "0.15 stands for no particle; expected 0, 0.1"),
        (changed("gen_particles", (0, 1, 3), 1.4), "1.4 stands for no particle"),
        (changed("sim_particles", (0, 1, 3), -0.1), "-0.1 stands for no particle"),
        (changed("sim_particles", (0, 1, 3), np.nan), "nan stands for no particle"),
        (changed("sim_particles", (0, 1, 0), np.nan), "'part_pt'.* nan must be finite"),
        (changed("gen_jets", (1, 0), np.nan), "'jet_pt'.* nan must be finite"),
        (changed("gen_jets", (1, 1), np.nan), "'jet_eta'.* nan must be finite"),
        (changed("gen_jets", (1, 0), -20.0), "pt -20 GeV is negative"),
        (changed("sim_particles", (0, 1, 0), -0.5), "pt -50 GeV is negative"),
        (changed("gen_zgs", 0, np.inf), "'omnifold_zg'.* inf must be finite"),
        ({"gen_jets": np.ones((3, 5))}, r"array 'gen_jets' has shape \(3, 5\), expected \(N 4\)"),
        ({"sim_particles": np.ones((3, 4))}, r"array 'sim_particles' has shape \(3, 4\), expected \(N M 4\)"),
        ({"sim_mults": np.ones(2)}, "columns with different numbers of rows"),
        ({"sim_jets": np.array(["a", "b", "c"])}, "not numbers"),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = write_omnifold(tmp_path / NAME, **arrays)
    with pytest.raises(DataError, match=message) as error:
        ingest("omnifold", [path], output=tmp_path / "s")
    assert NAME in str(error.value)


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    arrays = omnifold_arrays()
    arrays["gen_particle"] = arrays.pop("gen_particles")
    np.savez(tmp_path / NAME, **arrays)
    with pytest.raises(
        DataError, match=r"arrays of OmniFold's files gen_particles; the nearest .*: gen_particle"
    ):
        ingest("omnifold", [tmp_path / NAME], output=tmp_path / "s")
    with pytest.raises(DataError, match="gen_particles, weights"):
        ingest("omnifold", [tmp_path / NAME], output=tmp_path / "s", options={"weight": "weights"})
    detector = read(tmp_path / NAME, level="detector")  # which needs no particles of the other level
    assert len(value(detector, "jet_pt")) == 2
