"""OmniLearned's HDF5 layout: nothing is guessed, exports say what they hold, round trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.data import feature_set
from hepfm.data.exporters.export import export_store
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

COLUMNS = ("deta", "dphi", "log_pt", "log_energy", "pid", "tanh_d0", "d0_error", "tanh_dz", "dz_error")
PDG = {0: 0, 1: 211, 2: -211, 3: 130, 4: 22, 5: 11, 6: -11, 7: 13, 8: -13}
CLASSES = {2: "QCD", 10: "Tbqq"}
LENGTHS = np.array([5, 0, 12, 1])


def make_data(width: int = 4, *, seed: int = 1) -> Array:
    """Padded features of four jets; the hardest constituent of the first has a pt of exactly 1 GeV."""
    rng = np.random.Generator(np.random.PCG64(seed))
    data = rng.normal(0, 0.3, (4, 12, width))
    data[..., 2] = -np.abs(data[..., 2])
    data[0, 0, 2] = 0.0
    data[..., 3] = data[..., 2] + np.log(np.cosh(data[..., 0])) + 0.01
    if width > 4:
        data[..., 4] = rng.integers(1, 9, (4, 12))
    return (data * (np.arange(12) < LENGTHS[:, None])[..., None]).astype(np.float32)


def make_file(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def lists_of(store: Store, name: str) -> Ragged:
    column = store.read([name])[name]
    assert isinstance(column, Ragged)
    return column


def test_four_columns(tmp_path: Path) -> None:
    """A constituent of exactly 1 GeV is real; the axis lies at 0 and the jet is the sum."""
    data = make_data()
    path = make_file(tmp_path / "train.h5", data=data, pid=[2, 10, 10, 2])
    store = Store.open(ingest("omnilearned", [path], output=tmp_path / "s", options={"classes": CLASSES}))
    list(store.verify())
    assert store.schema.label_classes == ("QCD", "Tbqq")
    np.testing.assert_array_equal(store.read(["jet_label"])["jet_label"], [0, 1, 1, 0])
    np.testing.assert_array_equal(store.lengths("constituent"), LENGTHS)
    for row, length in enumerate(LENGTHS):
        order = np.argsort(-data[row, :length, 2], kind="stable")
        deta, dphi, log_pt, log_energy = data[row, :length][order].T
        expected = {"pt": np.exp(log_pt), "eta": deta, "phi": dphi, "energy": np.exp(log_energy)}
        for name, values in expected.items():
            np.testing.assert_allclose(lists_of(store, f"part_{name}").row(row), values, rtol=1e-5, atol=1e-6)
    assert lists_of(store, "part_pt").row(0)[0] == 1.0
    px = lists_of(store, "part_pt").values * np.cos(lists_of(store, "part_phi").values)
    jets = store.read(["jet_pt", "jet_phi"])
    expected = [px[a:b].sum() for a, b in zip([0, 5, 5, 17], [5, 5, 17, 18], strict=True)]
    np.testing.assert_allclose(
        np.asarray(jets["jet_pt"]) * np.cos(np.asarray(jets["jet_phi"])), expected, rtol=1e-5
    )


def test_types_charges_and_impact_parameters(tmp_path: Path) -> None:
    data = make_data(9)
    path = make_file(tmp_path / "x.h5", data=data, pid=[0, 1, 1, 0])
    options = {"columns": COLUMNS, "classes": {0: "a", 1: "b"}, "pdg": PDG}
    store = Store.open(ingest("omnilearned", [path], output=tmp_path / "s", options=options))
    order = np.argsort(-data[2, :, 2], kind="stable")
    numbers = data[2, order, 4].astype(int)
    names = ["charged_hadron"] * 2 + ["neutral_hadron", "photon"] + ["electron"] * 2 + ["muon"] * 2
    charges = np.array([1, -1, 0, 0, -1, 1, -1, 1])
    found = lists_of(store, "part_pid").row(2)
    assert [PID_CLASSES[pid] for pid in found] == [names[number - 1] for number in numbers]
    np.testing.assert_array_equal(lists_of(store, "part_charge").row(2), charges[numbers - 1])
    charged = charges[numbers - 1] != 0
    expected = np.where(charged, np.arctanh(data[2, order, 5]), 0)
    np.testing.assert_allclose(lists_of(store, "part_d0").row(2), expected, rtol=1e-5, atol=1e-6)


def test_a_column_left_out_and_globals(tmp_path: Path) -> None:
    """Angles refer to the axis that `global` tells; with pt, eta and mass the jet is that of the file."""
    data = make_data(5)
    jets = np.array(
        [[100, 1.0, 20, 0.05], [50, 0, 5, 0], [80, -1.5, 30, 0.12], [60, 0.5, 1, 0.01]], np.float32
    )
    path = make_file(tmp_path / "x.h5", data=data, pid=[0, 0, 0, 0], **{"global": jets})
    options = {"columns": (*COLUMNS[:4], "-"), "classes": {0: "a"}}
    options["global_columns"] = ("jet_pt", "jet_eta", "jet_mass", "-")
    store = Store.open(ingest("omnilearned", [path], output=tmp_path / "s", options=options))
    assert "part_pid" not in store.schema
    columns = store.read(store.schema.names())
    np.testing.assert_allclose(columns["jet_pt"], jets[:, 0])
    energy = np.hypot(jets[:, 0] * np.cosh(jets[:, 1]), jets[:, 2])
    np.testing.assert_allclose(columns["jet_energy"], energy, rtol=1e-6)
    order = np.argsort(-data[2, :, 2], kind="stable")
    np.testing.assert_allclose(lists_of(store, "part_eta").row(2), data[2, order, 0] - 1.5, atol=1e-6)
    features = feature_set("pet").compute(columns)
    np.testing.assert_allclose(features[5:17, 0], data[2, order, 0], atol=1e-6)


@pytest.mark.parametrize(("identity", "tracks"), [(True, True), (True, False), (False, False)])
def test_export_says_what_it_holds(tmp_path: Path, jet_columns: Any, identity: bool, tracks: bool) -> None:
    """Ingest needs no options then, and gives back all but the azimuth of the jets."""
    schema = jet_schema(JETCLASS_CLASSES, identity=identity, tracks=tracks, substructure=False)
    columns = {name: column for name, column in jet_columns(50, seed=3).items() if name in schema}
    if identity:
        columns["part_charge"].values[columns["part_pid"].values == PID_CLASSES.index("other")] = 0
    store = Store.open(write_store(tmp_path / "s", schema, [("train", columns)], provenance={}))
    path = export_store(store, tmp_path / "jets.h5", format_name="omnilearned")
    width = 4 + identity + 4 * tracks
    with h5py.File(path) as file:
        assert file["data"].shape == (50, 150, width)
        assert file["data"].dtype == np.float32
        assert json.loads(file.attrs["columns"]) == list(COLUMNS[:width])
        np.testing.assert_array_equal(file["pid"], columns["jet_label"])
        np.testing.assert_allclose(file["global"][:, 3] * 100, columns["part_pt"].lengths, rtol=1e-6)
        real = (file["data"][..., :4] != 0).any(axis=2)
        features = feature_set("pet").compute(columns)
        np.testing.assert_array_equal(file["data"][:][real][:, :4], features)
    again = Store.open(ingest("omnilearned", [path], output=tmp_path / "again"))
    assert again.schema == store.schema
    found = again.read(schema.names())
    for name in schema.names():
        if name in ("jet_phi", "part_phi"):
            continue
        new, old = found[name], columns[name]
        if isinstance(new, Ragged):
            np.testing.assert_array_equal(new.offsets, old.offsets)
            new, old = new.values, old.values
        np.testing.assert_allclose(new, old, rtol=2e-5, atol=2e-6, err_msg=name)


def test_few_slots_keep_the_hardest(tmp_path: Path, jet_store: Store) -> None:
    path = export_store(
        jet_store, tmp_path / "x.h5", format_name="omnilearned", split="val", options={"num_particles": 3}
    )
    pt = jet_store.read(["part_pt"], jet_store.split("val"))["part_pt"]
    assert isinstance(pt, Ragged)
    with h5py.File(path) as file:
        found = file["data"][:, :, 2]
    for row in range(len(found)):
        expected = np.log(pt.row(row)[:3])
        np.testing.assert_allclose(found[row, : len(expected)], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("width", "options", "error", "message"),
    [
        (4, {}, DataError, "does not name its classes; its first rows have the numbers 0, 1"),
        (9, {"classes": {0: "a", 1: "b"}}, DataError, "'data' has 9 columns and 4 names"),
        (
            4,
            {"classes": {0: "a"}},
            DataError,
            "pid, the class has values without a meaning: 1; classes knows 0",
        ),
        (9, {"columns": COLUMNS}, DataError, "does not say which particles"),
        (9, {"columns": COLUMNS, "pdg": {1: 99}}, ConfigError, "pdg: unknown code 99"),
        (9, {"columns": COLUMNS, "pdg": {1: 211}}, DataError, "column pid has values without a meaning"),
        (5, {"columns": (*COLUMNS[:4], "pidd")}, ConfigError, "did you mean 'pid'"),
        (5, {"columns": (*COLUMNS[:4], "deta")}, DataError, "each may come once"),
        (5, {"columns": (*COLUMNS[:4], "tanh_d0")}, DataError, "all four or not at all"),
        (4, {"columns": ("dphi", "deta", "log_pt", "log_energy")}, DataError, "the first four as here"),
        (4, {"global_columns": ("jet_pt",)}, DataError, "no data set 'global'"),
        (4, {"global_columns": ("pt",)}, ConfigError, "global_columns: unknown name 'pt'"),
        (4, {"colums": ()}, ConfigError, "did you mean 'columns'"),
    ],
)
def test_what_is_not_said_is_asked_for(
    tmp_path: Path, width: int, options: dict[str, Any], error: Any, message: str
) -> None:
    path = make_file(tmp_path / "x.h5", data=make_data(width), pid=[0, 1, 0, 1])
    given = {"classes": {0: "a", 1: "b"}, **options} if options else {}
    with pytest.raises(error, match=message):
        ingest("omnilearned", [path], output=tmp_path / "s", options=given)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.zeros((2, 3, 4))}, "no data set 'pid'"),
        ({"data": np.zeros((2, 3)), "pid": [0, 1]}, r"expected numbers of \(N M F\)"),
        ({"data": np.zeros((2, 3, 4)), "pid": [0, 1, 1]}, "different numbers of rows"),
        ({"data": np.zeros((2, 3, 4)), "pid": [0.5, 1.0]}, "values without a meaning: 0.5"),
        ({"data": np.full((2, 3, 4), np.nan), "pid": [0, 1]}, "feature 'deta' of jet 0 is nan"),
    ],
)
def test_other_files(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = make_file(tmp_path / "x.h5", **arrays)
    with pytest.raises(DataError, match=message):
        ingest("omnilearned", [path], output=tmp_path / "s", options={"classes": {0: "a", 1: "b"}})


def test_exports_that_cannot_be(tmp_path: Path, jet_store: Store) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.h5 or \.hdf5"):
        export_store(jet_store, tmp_path / "x.root", format_name="omnilearned")
    schema = jet_schema((), identity=False, tracks=False, substructure=False)
    columns = {name: jet_store.read([name], [0])[name] for name in schema.names()}
    bare = Store.open(write_store(tmp_path / "s", schema, [("train", columns)], provenance={}))
    with pytest.raises(DataError, match="needs classes"):
        export_store(bare, tmp_path / "x.h5", format_name="omnilearned")


def test_the_sign_of_a_charge_counts(tmp_path: Path, jet_columns: Any) -> None:
    """Codes stand for types and signs: a doubly charged hadron has that of a singly charged one."""
    schema = jet_schema(JETCLASS_CLASSES, tracks=False, substructure=False)
    columns = {name: column for name, column in jet_columns(20, seed=4).items() if name in schema}
    hadron = PID_CLASSES.index("charged_hadron")
    columns["part_pid"].values[:] = hadron
    columns["part_charge"].values[:] = np.resize([2.0, -2.0, 1.0], len(columns["part_charge"].values))
    store = Store.open(write_store(tmp_path / "s", schema, [("train", columns)], provenance={}))
    path = export_store(store, tmp_path / "jets.h5", format_name="omnilearned")
    with h5py.File(path) as file:
        real = (file["data"][..., :4] != 0).any(axis=2)
        numbers = file["data"][..., 4][real]
    np.testing.assert_array_equal(numbers, np.resize([1.0, 2.0, 1.0], len(numbers)))
