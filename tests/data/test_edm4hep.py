"""Ingest of EDM4hep: real files of two versions of podio, and events written here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from format_files import edm4hep_branches, write_parquet
from reading import named, read, rows_of, same_in_pieces, sample, sums, values

from hepfm.core.errors import ConfigError, DataError
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.store import Store

uproot = pytest.importorskip("uproot", reason="uproot is not installed")
pytestmark = pytest.mark.usefixtures("tables_stay_open")

read_edm4hep = partial(read, "edm4hep")
NEW, OLD = "p8_ee_WW_ecm240_edm4hep.root", "test_FCC_Winter2023.root"
PARTONS = {"partons": {"max_angle": 0.3}}


def older(branches: dict[str, Any]) -> dict[str, Any]:
    """Return the branches as older files spell them."""
    names = {
        "_ReconstructedParticles_tracks": "ReconstructedParticles#1",
        "_Jet_particles": "Jet#2",
        "_EFlowTrack_trackStates": "EFlowTrack_1",
        "Electron_objIdx": "Electron#0",
    }
    changed = {}
    for name, column in branches.items():
        collection, _, field = name.partition(".")
        field = {"PDG": "type"}.get(field, field) if collection == "ReconstructedParticles" else field
        changed[f"{names.get(collection, collection)}.{field}"] = column
    return changed


@pytest.mark.parametrize("spelled", [dict, older], ids=["new", "old"])
def test_relations_are_followed(tmp_path: Path, spelled: Any) -> None:
    columns = read_edm4hep(write_parquet(tmp_path / "a.parquet", spelled(edm4hep_branches())))
    assert rows_of(columns, "part_pt") == [[4, pytest.approx(3)], [5], [pytest.approx(5**0.5), 2]]
    names = [[PID_CLASSES[int(code)] for code in row] for row in rows_of(columns, "part_pid")]
    assert names == [["electron", "charged_hadron"], ["photon"], ["neutral_hadron", "charged_hadron"]]
    assert rows_of(columns, "part_charge") == [[-1, 1], [0], [0, -1]]
    # Of the state at the vertex, with JetClass's sign; the electron has no track.
    np.testing.assert_allclose(values(columns, "part_d0"), [0, -0.1, 0, 0, 0.2], rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_dz"), [0, 0.3, 0, 0, 0.4], rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_d0_error"), [0, 0.1, 0, 0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_dz_error"), [0, 0.2, 0, 0, 0.2], rtol=1e-6)
    np.testing.assert_allclose(named(columns, "jet_pt"), [7, 5, 17**0.5], rtol=1e-6)
    assert named(columns, "event_run").tolist() == [4, 4, 4]
    first, second, third = named(columns, "event_id").tolist()
    assert first == second != third


def test_rntuples_are_read_as_trees(tmp_path: Path) -> None:
    """podio's frames as uproot writes them: a field for each collection, a list of structures."""
    collections: dict[str, dict[str, Any]] = {}
    for name, column in edm4hep_branches().items():
        collection, _, field = name.partition(".")
        collections.setdefault(collection, {})[field] = column
    momenta = ("ReconstructedParticles", "Jet", "Particle")
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        fields = {}
        for collection, members in collections.items():
            arrays = {key: ak.Array(column) for key, column in members.items()}
            if collection in momenta:
                parts = {axis: arrays.pop(f"momentum.{axis}") for axis in "xyz"}
                arrays["momentum"] = ak.zip(parts)
            covariance = arrays.pop("covMatrix.values", None)
            if covariance is not None:
                arrays["covMatrix"] = ak.zip({"values": ak.to_regular(covariance, axis=2)}, depth_limit=2)
            fields[collection] = ak.zip(arrays, depth_limit=2)
        file.mkrntuple("events", ak.Array(fields))
    columns = read_edm4hep(path)
    expected = read_edm4hep(write_parquet(tmp_path / "a.parquet", edm4hep_branches()))
    for name in expected:
        np.testing.assert_array_equal(values(columns, name), values(expected, name))


def test_partons_label_the_nearest_jet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", edm4hep_branches())
    store = Store.open(
        ingest("edm4hep", [path], output=tmp_path / "s", options={**PARTONS, "weight": "EventHeader.weight"})
    )
    assert store.schema.label_classes == ("light", "s", "c", "b", "g", "other")
    labels = named(store.read(["jet_label"]), "jet_label").tolist()
    assert [store.schema.label_classes[label] for label in labels] == ["b", "b", "other"]
    assert named(store.read(["jet_weight"]), "jet_weight").tolist() == [2, 2, -1]
    few = read_edm4hep(path, partons={"classes": {5: "b"}, "max_angle": 3.0})
    assert named(few, "jet_label").tolist() == [0, 0, 1]
    with pytest.raises(DataError, match=r"no generated particle has the status 44; there are 22, 23"):
        read_edm4hep(path, partons={"status": [44]})


@pytest.mark.parametrize(("clustering", "jets"), [({"algorithm": "durham", "num_jets": 2}, 4), ({}, None)])
def test_jets_are_clustered(tmp_path: Path, clustering: dict, jets: int | None) -> None:
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    branches = {name: part for name, part in edm4hep_branches().items() if "Jet" not in name}
    path = write_parquet(tmp_path / "a.parquet", branches)
    columns = read_edm4hep(path, clustering=clustering)
    assert jets is None or len(named(columns, "jet_pt")) == jets
    assert len(values(columns, "part_pt")) == 5
    np.testing.assert_allclose(sums(columns)["energy"], named(columns, "jet_energy"), rtol=1e-5)
    np.testing.assert_allclose(sums(columns)["pt"], named(columns, "jet_pt"), rtol=1e-5)
    three = read_edm4hep(path, clustering={"algorithm": "durham", "num_jets": 3})
    assert len(named(three, "jet_pt")) == 3  # the event of two particles has no three jets


def test_pieces_of_one_event_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "a.parquet", edm4hep_branches())
    same_in_pieces("edm4hep", path, monkeypatch, "edm4hep", **PARTONS)


def test_files_without_tracks_and_header(tmp_path: Path) -> None:
    without = ("EFlowTrack", "_EFlow", "EventHeader")
    branches = {name: part for name, part in edm4hep_branches().items() if not name.startswith(without)}
    columns = read_edm4hep(write_parquet(tmp_path / "a.parquet", branches))
    assert not {"part_d0", "event_run"} & set(columns)
    assert len(set(named(columns, "event_id").tolist())) == 2


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"jets": "Jets"}, r"no collection 'Jets'; did you mean 'Jet'"),
        ({}, {"particles": "PandoraPFOs"}, r"no collection 'PandoraPFOs'"),
        ({}, {"jets": "Particle"}, r"lacks the EDM4hep branches Particle.energy"),
        ({}, {"jets": "ReconstructedParticles"}, r"no relation to the particles"),
        ({}, {"weight": "EventHeader.wieght"}, r"did you mean 'EventHeader.weight'"),
        ({"_Jet_particles.index": [[2, 0, 3], [0, 1]]}, {}, r"_Jet_particles.index point beyond"),
        ({"Jet.particles_end": [[2, 4], [2]]}, {}, r"Jet.particles_end point beyond"),
        ({"_Jet_particles.collectionID": [[6, 6, 7], [6, 6]]}, {}, r"leads to 2 collections \(6, 7\)"),
        ({"EFlowTrack.trackStates_end": [[3], [2]]}, {}, r"point beyond an event's end"),
        ({"Electron_objIdx.index": [[3], []]}, {}, r"Electron_objIdx.index point beyond"),
        ({"Jet.energy": [[1.0], [1.0]]}, {}, r"lists of different lengths"),
        ({"EventHeader.runNumber": [[4, 4], [4]]}, {}, r"does not hold one number"),
    ],
)
def test_bad_files_and_options(tmp_path: Path, changes: dict, options: dict, message: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", edm4hep_branches() | changes)
    with pytest.raises(DataError, match=message):
        read_edm4hep(path, **options)


def test_a_file_without_jets_says_how_to_get_them(tmp_path: Path) -> None:
    branches = {name: part for name, part in edm4hep_branches().items() if "Jet" not in name}
    with pytest.raises(DataError, match=r"none of the collections Jet, .*--set clustering=\{\}"):
        read_edm4hep(write_parquet(tmp_path / "a.parquet", branches))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jets": "Jet", "clustering": {}}, "either jets, which are stored, or clustering"),
        ({"partons": {}, "jet_class": "b"}, "either partons or jet_class"),
        ({"clustering": {"algorithm": "kt"}}, "algorithm"),
    ],
)
def test_options_that_exclude_each_other(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_edm4hep(Path("none.root"), **options)


@pytest.mark.parametrize(("name", "jets"), [(NEW, 26), (OLD, 268)])
def test_constituents_of_real_files_sum_to_the_jet(name: str, jets: int) -> None:
    columns = read_edm4hep(sample(name))
    assert len(named(columns, "jet_pt")) == jets
    np.testing.assert_allclose(sums(columns)["energy"], named(columns, "jet_energy"), rtol=1e-5)
    np.testing.assert_allclose(sums(columns)["pt"], named(columns, "jet_pt"), rtol=1e-4)
    charge = values(columns, "part_charge")
    charged = [PID_CLASSES.index(kind) for kind in ("charged_hadron", "electron", "muon")]
    np.testing.assert_array_equal(np.abs(charge), np.isin(values(columns, "part_pid"), charged))
    error = values(columns, "part_d0_error")[charge != 0]
    assert 0.003 < np.median(error) < 0.05  # mm, as silicon measures


def test_quarks_of_w_bosons_label_the_jets_of_a_real_file() -> None:
    labels = named(read_edm4hep(sample(NEW), **PARTONS), "jet_label")
    light, s, c, b, *_ = np.bincount(labels, minlength=6)
    assert b == 0
    assert min(light, s, c) >= 3
