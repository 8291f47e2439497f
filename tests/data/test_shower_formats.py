"""Showers in and out: CaloChallenge, CaloClouds, Getting High; the feature set and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.data import context_set, feature_set
from hepfm.data.exporters.export import export_store
from hepfm.data.ingest import ingest
from hepfm.data.shower_grid import grid_of
from hepfm.data.store import Store
from hepfm.physics.voxels import load_voxels

h5py = pytest.importorskip("h5py", reason="the extra 'io' is not installed")

DATA = Path(__file__).parents[3] / "shared" / "data"
VOXELS = load_voxels("dataset_2")


def write(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def grids(rows: int = 5, cells: int = 6480) -> np.ndarray:
    """Return showers in MeV: a fifth of the cells hit, some of those below 15.15 keV."""
    rng = np.random.default_rng(1)
    hit = rng.random((rows, cells)) < 0.2
    return np.where(hit, rng.exponential(0.2, (rows, cells)), 0.0).astype(np.float32)


def test_calochallenge_there_and_back(tmp_path: Path) -> None:
    showers, incident = grids(), np.geomspace(1e3, 1e6, 5).astype(np.float32)[:, None]
    path = write(tmp_path / "a.hdf5", showers=showers, incident_energies=incident)
    store = Store.open(ingest("calochallenge", [f"test={path}"], output=tmp_path / "store"))
    list(store.verify())
    found = store.read(store.schema.names())
    assert found["incident_energy"] == pytest.approx(incident[:, 0] / 1e3)
    kept = np.where(showers >= 15.15e-3, showers, 0)
    assert found["hit_energy"].lengths.tolist() == (kept > 0).sum(1).tolist()
    assert found["shower_energy"] == pytest.approx(kept.sum(1) / 1e3, rel=1e-5)
    out = export_store(store, tmp_path / "b.hdf5", format_name="calochallenge")
    with h5py.File(out) as file:
        assert file["incident_energies"][:] == pytest.approx(incident)
        assert file["showers"][:] == pytest.approx(kept, rel=1e-5)


def test_calochallenge_photons_need_their_cells(tmp_path: Path) -> None:
    xml = DATA / "calochallenge_binning_dataset_1_photons.xml"
    if not xml.exists():
        pytest.skip(f"{xml.name}, a published file, is not here")
    path = write(
        tmp_path / "a.hdf5", showers=grids(3, 368), incident_energies=np.full((3, 1), 256.0, np.float32)
    )
    with pytest.raises(DataError, match="N 6480"):
        ingest("calochallenge", [path], output=tmp_path / "wrong")
    options = {"voxels": str(xml), "threshold_kev": 0.0}
    store = Store.open(ingest("calochallenge", [path], output=tmp_path / "store", options=options))
    columns = store.read(store.schema.names())
    assert set(np.unique(columns["hit_layer"].values)) <= {0, 1, 2, 3, 12}
    grid, outside = grid_of(columns, load_voxels(xml))
    assert grid == pytest.approx(grids(3, 368) / 1e3, rel=1e-5)
    assert not outside.any()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("showers", -1.0, "negative"), ("showers", np.nan, "not finite"), ("incident_energies", 0.0, "above 0")],
)
def test_calochallenge_values_that_are_no_energies(
    name: str, value: float, words: str, tmp_path: Path
) -> None:
    arrays = {"showers": grids(), "incident_energies": np.full((5, 1), 1e3, np.float32)}
    arrays[name][2, 0] = value
    with pytest.raises(DataError, match=words):
        ingest("calochallenge", [write(tmp_path / "a.hdf5", **arrays)], output=tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(ConfigError, match="no cells"):
        ingest(
            "calochallenge",
            [tmp_path / "a.hdf5"],
            output=tmp_path / "store",
            options={"voxels": "dataset_7"},
        )


@pytest.mark.parametrize("front", [True, False])
def test_caloclouds_padding_may_be_in_front(front: bool, tmp_path: Path) -> None:
    events = np.zeros((2, 4, 10), np.float32)
    points = np.array([[10.0, 3.0, -20.0, 1e-3], [12.0, 29.0, 30.0, 5e-3], [1.0, 0.0, 2.0, 2e-3]]).T
    place = slice(7, 10) if front else slice(0, 3)
    events[0, :, place] = points
    events[1, :, place] = points * np.array([[1], [1], [1], [2]])
    path = write(tmp_path / "a.h5", events=events, energy=np.array([[10.0], [90.0]], np.float32))
    store = Store.open(ingest("caloclouds", [path], output=tmp_path / "store"))
    found = store.read(store.schema.names())
    assert found["hit_energy"].row(0) == pytest.approx([5e-3, 2e-3, 1e-3])
    assert found["hit_layer"].row(0).tolist() == [29, 0, 3]
    assert found["hit_x"].row(0) == pytest.approx([12, 1, 10])
    assert found["hit_y"].row(1) == pytest.approx([30, 2, -20])
    assert found["incident_energy"] == pytest.approx([10, 90])
    events[0, 1, place] = -4
    with pytest.raises(DataError, match="layers from -4"):
        ingest(
            "caloclouds",
            [write(tmp_path / "b.h5", events=events, energy=np.ones((2, 1)))],
            output=tmp_path / "o",
        )


def test_getting_high_points(tmp_path: Path) -> None:
    showers = np.zeros((1, 6, 4), np.float32)
    showers[0, :2] = [[14, 15, 3, 8.0], [0, 29, 20, 0.5]]
    path = write(tmp_path / "a.h5", showers=showers, genE=np.array([[50.0]], np.float32))
    store = Store.open(ingest("getting_high", [path], output=tmp_path / "store"))
    found = store.read(store.schema.names())
    assert found["hit_energy"].row(0) == pytest.approx([8e-3, 0.5e-3])
    assert found["hit_x"].row(0) == pytest.approx([-2.5, -72.5])
    assert found["hit_y"].row(0) == pytest.approx([2.5, 72.5])
    assert found["hit_layer"].row(0).tolist() == [3, 20]
    with pytest.raises(DataError, match="'events'"):
        ingest("caloclouds", [path], output=tmp_path / "other")


def test_features_and_the_way_back(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", showers=grids(), incident_energies=np.full((5, 1), 2e3, np.float32))
    store = Store.open(ingest("calochallenge", [path], output=tmp_path / "store"))
    columns = store.read(store.schema.names())
    features = feature_set("calo")
    values = features.compute(columns)
    lengths = columns["hit_energy"].lengths
    named = features.named(values.astype(np.float64))
    back = features.invert(named, lengths=lengths, row_fields={})
    assert set(back) == set(features.schema().names())
    for name, column in back.items():
        truth, made = columns[name], column
        if name != "shower_energy":
            assert (truth.lengths == made.lengths).all()
            truth, made = truth.values, made.values
        assert made == pytest.approx(truth, rel=1e-4, abs=1e-4)
    context = context_set("incident")
    assert not context.counted
    assert context.compute(columns, lengths) == pytest.approx(np.full((5, 1), np.log(2.0)))
    named["log_hit_energy"][7] = np.inf
    with pytest.raises(DataError, match="'log_hit_energy' of shower 0 is inf"):
        features.invert(named, lengths=lengths, row_fields={})


def test_hits_that_fit_no_calorimeter_are_not_exported(tmp_path: Path) -> None:
    events = np.zeros((1, 4, 2), np.float32)
    events[0, :, 0] = [1.0, 60.0, 1.0, 1e-3]
    path = write(tmp_path / "a.h5", events=events, energy=np.ones((1, 1), np.float32))
    store = Store.open(ingest("caloclouds", [path], output=tmp_path / "store"))
    with pytest.raises(DataError, match="layer 60"):
        export_store(store, tmp_path / "b.hdf5", format_name="calochallenge")
