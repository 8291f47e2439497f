"""JetNet's layout: ingest by the definitions of its features, export, files that are not of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.data.exporters.export import export_store
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.physics.kinematics import four_momentum, mass_of

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

LENGTHS = np.array([30, 1, 0, 12])
SOURCE = {"paper": "2106.11535", "licence": "CC-BY-4.0"}


def make_arrays(slots: int = 30, *, seed: int = 1) -> tuple[Array, Array]:
    """Particle and jet features of four jets in the published layout; the order within a jet is random."""
    rng = np.random.Generator(np.random.PCG64(seed))
    particles = np.zeros((len(LENGTHS), slots, 4), np.float32)
    real = np.arange(slots) < LENGTHS[:, None]
    particles[real] = np.stack(
        [*rng.normal(0, 0.1, (2, real.sum())), rng.uniform(0.001, 0.1, real.sum()), np.ones(real.sum())],
        axis=1,
    )
    jets = np.stack(
        [rng.uniform(800, 1600, 4), rng.normal(0, 1, 4), rng.uniform(10, 200, 4), LENGTHS], axis=1
    )
    return particles, jets.astype(np.float32)


def make_file(path: Path, particles: Any, jets: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["particle_features"], file["jet_features"] = particles, jets
    return path


def test_fields_follow_the_definitions(tmp_path: Path) -> None:
    """pt_rel and the angles are relative to the jet; its azimuth is 0; constituents are massless."""
    particles, jets = make_arrays()
    path = make_file(tmp_path / "t.hdf5", particles, jets)
    store = Store.open(ingest("jetnet", [f"test={path}"], output=tmp_path / "s"))
    list(store.verify())
    assert store.schema.label_classes == ("g", "q", "t", "w", "z")
    assert store.manifest.provenance["source"] == {
        "title": "JetNet30",
        "doi": "10.5281/zenodo.6975118",
        **SOURCE,
    }
    columns = store.read(store.schema.names())
    np.testing.assert_array_equal(columns["jet_label"], np.full(4, 2))
    np.testing.assert_array_equal(store.lengths("constituent"), LENGTHS)
    for row in range(4):
        chosen = particles[row, : LENGTHS[row]]
        eta_rel, phi_rel, pt_rel, _ = chosen[np.argsort(-chosen[:, 2])].T
        pt, eta = jets[row, :2]
        expected = {"pt": pt_rel * pt, "eta": eta_rel + eta, "phi": phi_rel}
        for name, values in expected.items():
            part = columns[f"part_{name}"]
            assert isinstance(part, Ragged)
            np.testing.assert_allclose(part.row(row), values, rtol=1e-5, atol=1e-6)
    parts = (columns[f"part_{name}"] for name in ("pt", "eta", "phi", "energy"))
    p4 = four_momentum(*(part.values.astype(float) for part in parts if isinstance(part, Ragged)))
    np.testing.assert_allclose(mass_of(p4) / p4[:, 0], 0, atol=1e-3)
    p4 = four_momentum(*(np.float64(columns[f"jet_{name}"]) for name in ("pt", "eta", "phi", "energy")))
    np.testing.assert_allclose(mass_of(p4), jets[:, 2], rtol=1e-3)
    np.testing.assert_array_equal(columns["jet_phi"], 0)


def test_the_other_record_has_another_doi(tmp_path: Path) -> None:
    path = make_file(tmp_path / "g150.hdf5", *make_arrays(150))
    store = Store.open(ingest("jetnet", [path], output=tmp_path / "s"))
    assert store.manifest.provenance["source"]["doi"] == "10.5281/zenodo.6975117"
    other = make_file(tmp_path / "q.hdf5", *make_arrays(30))
    with pytest.raises(DataError, match="ingest them separately"):
        ingest("jetnet", [path, other], output=tmp_path / "t")


def test_classes_of_several_files_and_of_an_option(tmp_path: Path) -> None:
    files = [make_file(tmp_path / f"{name}.hdf5", *make_arrays(seed=seed)) for seed, name in enumerate("zwg")]
    store = Store.open(ingest("jetnet", files, output=tmp_path / "s"))
    np.testing.assert_array_equal(store.read(["jet_label"])["jet_label"], np.repeat([4, 3, 0], 4))
    odd = make_file(tmp_path / "tops.h5", *make_arrays())
    store = Store.open(ingest("jetnet", [odd], output=tmp_path / "o", options={"jet_class": "t"}))
    assert set(np.asarray(store.read(["jet_label"])["jet_label"])) == {2}
    assert store.manifest.provenance["options"] == {"jet_class": "t"}


@pytest.mark.parametrize("num_particles", [30, 150])
def test_export_and_ingest_give_the_jets_back(tmp_path: Path, jet_columns: Any, num_particles: int) -> None:
    """But for the azimuth of the jets, the energies, and what lies beyond the last slot."""
    schema = jet_schema(("g", "q", "t", "w", "z"), identity=False, tracks=False, substructure=False)
    columns = {name: column for name, column in jet_columns(60, seed=4).items() if name in schema}
    columns["jet_label"] = np.repeat([0, 2, 4], 20).astype(np.int16)
    store = Store.open(write_store(tmp_path / "s", schema, [("train", columns)], provenance={}))
    folder = export_store(
        store, tmp_path / "jetnet", format_name="jetnet", options={"num_particles": num_particles}
    )
    ending = "150" if num_particles == 150 else ""
    files = [folder / f"{name}{ending}.hdf5" for name in "gtz"]
    assert sorted(folder.iterdir()) == files
    with h5py.File(files[0]) as file:
        assert file["particle_features"].shape == (20, num_particles, 4)
        lengths = np.minimum(columns["part_pt"].lengths[:20], num_particles)
        np.testing.assert_array_equal(file["jet_features"][:, 3], lengths)
        np.testing.assert_array_equal(file["particle_features"][..., 3].sum(axis=1), lengths)
        eta_rel, phi_rel, pt_rel, _ = np.moveaxis(file["particle_features"][:], 2, 0)
        assert (np.abs(phi_rel) <= np.pi).all()
        assert (np.abs(eta_rel) < 2).all()
        assert pt_rel.sum(axis=1).max() < 1.001
    again = Store.open(ingest("jetnet", files, output=tmp_path / "again"))
    found, whole = again.read(schema.names()), columns["part_pt"].lengths
    for name in ("jet_pt", "jet_eta", "jet_energy", "jet_label"):
        np.testing.assert_allclose(found[name], columns[name], rtol=2e-6, atol=1e-6)
    for name in ("part_pt", "part_eta"):
        part = found[name]
        assert isinstance(part, Ragged)
        for row in range(60):
            expected = columns[name].row(row)[: min(num_particles, whole[row])]
            np.testing.assert_allclose(part.row(row), expected, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"jet_features": np.zeros((4, 4))}, "no data set 'particle_features'; it has: jet_features"),
        ({"particle_features": np.zeros((4, 30, 3))}, r"shape \(4, 30, 3\), expected numbers of \(N M 4\)"),
        ({"particle_features": np.zeros((4, 30, 4)), "jet_features": np.zeros((3, 4))}, "numbers of rows"),
        ({"particle_features": np.full((4, 30, 4), 0.5), "jet_features": np.zeros((4, 4))}, "must be 0 or 1"),
        ({"particle_features": [b"no numbers"]}, "expected numbers"),
    ],
)
def test_other_files(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with h5py.File(tmp_path / "g.hdf5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    with pytest.raises(DataError, match=message):
        ingest("jetnet", [tmp_path / "g.hdf5"], output=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["higgs.hdf5", "g31.hdf5", "g.hdf5.txt", "G.hdf5"])
def test_names_without_a_class(tmp_path: Path, name: str) -> None:
    path = make_file(tmp_path / name, *make_arrays())
    with pytest.raises(DataError, match="cannot tell the class"):
        ingest("jetnet", [path], output=tmp_path / "s")


def test_not_hdf5_and_bad_options(tmp_path: Path) -> None:
    (tmp_path / "g.hdf5").write_text("no HDF5")
    with pytest.raises(DataError, match="as HDF5"):
        ingest("jetnet", [tmp_path / "g.hdf5"], output=tmp_path / "s")
    with pytest.raises(ConfigError, match="did you mean 'jet_class'"):
        ingest("jetnet", [tmp_path / "g.hdf5"], output=tmp_path / "s", options={"jet_clas": "g"})
    path = make_file(tmp_path / "x.hdf5", *make_arrays())
    with pytest.raises(DataError, match="cannot tell the class"):
        ingest("jetnet", [path], output=tmp_path / "s", options={"jet_class": "h"})


def test_exports_that_cannot_be(tmp_path: Path, jet_store: Store) -> None:
    with pytest.raises(ConfigError, match="this is a folder"):
        export_store(jet_store, tmp_path / "g.hdf5", format_name="jetnet")
    with pytest.raises(ConfigError, match="num_particles"):
        export_store(jet_store, tmp_path / "out", format_name="jetnet", options={"num_particles": 31})
    with pytest.raises(ConfigError, match="unknown exporter 'jetnets'"):
        export_store(jet_store, tmp_path / "out", format_name="jetnets")
    schema = jet_schema((), identity=False, tracks=False, substructure=False)
    columns = {name: jet_store.read([name], [0])[name] for name in schema.names()}
    bare = Store.open(write_store(tmp_path / "s", schema, [("train", columns)], provenance={}))
    with pytest.raises(DataError, match="lacks: classes"):
        export_store(bare, tmp_path / "out", format_name="jetnet")
    assert not (tmp_path / "out").exists()


def test_a_negative_pt_is_no_padding(tmp_path: Path) -> None:
    particles, jets = make_arrays()
    row = int(np.argmax(LENGTHS > 1))
    particles[row, np.argmax(particles[row, :, 3] == 1), 2] *= -1
    path = make_file(tmp_path / "t.hdf5", particles, jets)
    with pytest.raises(DataError, match=rf"t\.hdf5, row {row}, constituent \d+: part_pt -"):
        ingest("jetnet", [path], output=tmp_path / "s")
