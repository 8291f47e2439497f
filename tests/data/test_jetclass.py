"""Export in JetClass's schema and ingest of it: round trips, the sign of deta, published files, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Ragged
from hepfm.data import feature_set
from hepfm.data.exporters.export import export_store
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

_KINDS = {
    "list<float32>": "part_px part_py part_pz part_energy part_deta part_dphi part_d0val part_d0err "
    "part_dzval part_dzerr part_charge",
    "list<int32>": "part_isChargedHadron part_isNeutralHadron part_isPhoton part_isElectron part_isMuon",
    "float32": "label_QCD",
    "bool": "label_Hbb label_Hcc label_Hgg label_H4q label_Hqql",
    "int32": "label_Zqq label_Wqq label_Tbqq label_Tbl",
    "float32 ": "jet_pt jet_eta jet_phi jet_energy jet_nparticles jet_sdmass "
    "jet_tau1 jet_tau2 jet_tau3 jet_tau4",
}
PUBLISHED = {name: kind.strip() for kind, names in _KINDS.items() for name in names.split()}
"""Branches of the published files, in their order."""


def read_parquet(path: Path) -> dict[str, Any]:
    table = pq.read_table(path)
    return {name: table[name].combine_chunks() for name in table.column_names}


def edit_parquet(source: Path, target: Path, **columns: Any) -> Path:
    values = {**read_parquet(source), **columns}
    kept = {name: value for name, value in values.items() if value is not None}
    pq.write_table(pa.table(kept), target)
    return target


@pytest.fixture(scope="module")
def exported(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_store(jet_store, tmp_path_factory.mktemp("export") / "jets.parquet")


def test_parquet_has_the_published_branches(exported: Path) -> None:
    schema = pq.read_schema(exported)
    found = {
        field.name: f"list<{field.type.value_type.to_pandas_dtype().__name__}>"
        if pa.types.is_list(field.type)
        else np.dtype(field.type.to_pandas_dtype()).name
        for field in schema
    }
    assert list(found.items()) == list(PUBLISHED.items())


def test_root_has_the_published_branches(jet_store: Store, tmp_path: Path) -> None:
    uproot = pytest.importorskip("uproot", reason="uproot is not installed")
    path = export_store(jet_store, tmp_path / "jets.root", split="test")
    with uproot.open(path) as file:
        tree = file["tree"]
        kinds = {"float32": "float", "int32": "int32_t", "bool": "bool"}
        expected = {
            name: kinds[kind.removeprefix("list<").removesuffix(">")] + ("[]" if "<" in kind else "")
            for name, kind in PUBLISHED.items()
        }
        found = {name: branch.typename for name, branch in tree.items() if name != "part_n"}
        assert list(found.items()) == list(expected.items())
        assert tree.num_entries == 200
        assert str(file.file.compression).startswith("LZ4")


def test_values_follow_the_definitions(jet_store: Store, exported: Path) -> None:
    columns = jet_store.read(jet_store.schema.names())
    file = read_parquet(exported)
    lists = {name: column for name, column in columns.items() if isinstance(column, Ragged)}
    row = lists["part_pt"].row_index()
    jet_eta = np.asarray(columns["jet_eta"])[row]
    deta = (lists["part_eta"].values - jet_eta) * np.where(jet_eta > 0, 1, -1)
    assert (jet_eta < 0).any()
    np.testing.assert_allclose(file["part_deta"].flatten(), deta, atol=1e-6)
    assert np.abs(file["part_dphi"].flatten().to_numpy()).max() <= np.pi + 1e-6
    mass2 = lists["part_energy"].values.astype(float) ** 2 - sum(
        file[f"part_p{axis}"].flatten().to_numpy().astype(float) ** 2 for axis in "xyz"
    )
    assert np.abs(mass2 / lists["part_energy"].values.astype(float) ** 2).max() < 1e-5
    np.testing.assert_array_equal(file["jet_nparticles"], lists["part_pt"].lengths)
    labels = np.stack([file[f"label_{name}"].to_numpy(zero_copy_only=False) for name in JETCLASS_CLASSES])
    np.testing.assert_array_equal(labels.argmax(axis=0), columns["jet_label"])
    np.testing.assert_array_equal(labels.sum(axis=0), 1)
    np.testing.assert_array_equal(file["part_isMuon"].flatten(), lists["part_pid"].values == 4)


@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_round_trip(jet_store: Store, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if suffix == "root":
        pytest.importorskip("uproot", reason="uproot is not installed")
    monkeypatch.setattr("hepfm.data.exporters.jetclass.JetClassFormat.chunk_rows", 70)
    monkeypatch.setattr("hepfm.data.tables.base.CHUNK_ROWS", 70)
    files = [
        f"{split}={export_store(jet_store, tmp_path / f'{split}.{suffix}', split=split)}"
        for split in jet_store.splits
    ]
    again = Store.open(ingest("jetclass", files, output=tmp_path / "again"))
    assert again.schema == jet_store.schema
    assert again.splits == jet_store.splits
    assert [entry["split"] for entry in again.manifest.provenance["files"]] == ["train", "val", "test"]
    expected, found = (store.read(jet_store.schema.names()) for store in (jet_store, again))
    for name, column in expected.items():
        other = found[name]
        if isinstance(column, Ragged):
            assert isinstance(other, Ragged)
            np.testing.assert_array_equal(other.offsets, column.offsets)
            column, other = column.values, other.values
        np.testing.assert_allclose(other, column, rtol=2e-6, atol=2e-6, err_msg=name)


def test_unsorted_files_are_sorted(jet_store: Store, exported: Path, tmp_path: Path) -> None:
    columns = {}
    for name, column in read_parquet(exported).items():
        if pa.types.is_list(column.type):
            column = pa.array([values[::-1] for values in column.to_pylist()], type=column.type)
        columns[name] = column
    pq.write_table(pa.table(columns), tmp_path / "reversed.parquet")
    again = Store.open(ingest("jetclass", [tmp_path / "reversed.parquet"], output=tmp_path / "s"))
    expected, found = (store.read(["part_pt", "part_d0"]) for store in (jet_store, again))
    for name in expected:
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-6)  # type: ignore[union-attr]


def test_constituents_without_momentum_are_dropped(exported: Path, tmp_path: Path) -> None:
    columns = read_parquet(exported)
    zero = {}
    for name in ("part_px", "part_py"):
        values = [[0.0, *row[1:]] if row else [] for row in columns[name].to_pylist()]
        zero[name] = pa.array(values, type=columns[name].type)
    path = edit_parquet(exported, tmp_path / "zero.parquet", **zero)
    again = Store.open(ingest("jetclass", [path], output=tmp_path / "s"))
    before = np.asarray(columns["part_px"].value_lengths())
    np.testing.assert_array_equal(again.lengths("constituent"), np.maximum(before - 1, 0))


def test_files_without_labels_make_an_unlabelled_store(exported: Path, tmp_path: Path) -> None:
    bare = edit_parquet(exported, tmp_path / "x.parquet", **{f"label_{c}": None for c in JETCLASS_CLASSES})
    store = Store.open(ingest("jetclass", [bare], output=tmp_path / "s"))
    assert store.schema == jet_schema()
    again = export_store(store, tmp_path / "y.parquet")
    assert [name for name in PUBLISHED if not name.startswith("label")] == pq.read_schema(again).names


ABSENT = [
    ({"jet_tau4": "jet_tau4", "jet_sdmass": "jet_softdrop_mass"}, "kin"),
    (
        {"part_d0val": "part_d0", "part_d0err": "part_d0_error"}
        | {"part_dzval": "part_dz", "part_dzerr": "part_dz_error"},
        "kinpid",
    ),
    ({"part_dzerr": "part_dz_error"}, "kinpid"),
]
"""Branches that a file lacks, with their fields, and a feature set for which that is enough."""


@pytest.mark.parametrize(("absent", "features"), ABSENT)
def test_files_without_tracks_or_substructure(
    jet_store: Store,
    exported: Path,
    tmp_path: Path,
    absent: dict[str, str],
    features: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    paths = [
        edit_parquet(exported, tmp_path / f"{name}.parquet", **dict.fromkeys(absent), extra=extra)
        for name, extra in (("a", pa.array([0] * 1000)), ("b", pa.array([1] * 1000)))
    ]
    made = ingest("jetclass", paths, output=tmp_path / "s", allow_shared=True)
    store = Store.open(made)
    list(store.verify())
    fields = set(absent.values())
    assert set(store.schema.names()) == set(jet_store.schema.names()) - fields
    assert store.schema.label == "jet_label"
    np.testing.assert_array_equal(
        np.asarray(store.read(["jet_pt"], store.split("train"))["jet_pt"])[:1000],
        jet_store.read(["jet_pt"])["jet_pt"],
    )
    assert feature_set(features).missing(store.schema) == []
    said = [record.getMessage() for record in caplog.records if "the store is without" in record.getMessage()]
    assert len(said) == 1  # once for all files
    assert "a.parquet has no " in said[0]
    assert all(name in said[0] for pair in absent.items() for name in pair)


def test_files_with_and_without_tracks_together(exported: Path, tmp_path: Path) -> None:
    path = edit_parquet(exported, tmp_path / "x.parquet", part_d0val=None)
    with pytest.raises(DataError, match="other fields or classes"):
        ingest("jetclass", [exported, path], output=tmp_path / "s")


def test_jetclass2_example(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "jetclass2_example.parquet"
    store = Store.open(ingest("jetclass", [path], output=tmp_path / "s"))
    list(store.verify())
    assert store.num_rows == 100
    assert len(store.schema.label_classes) == 188
    raw = read_parquet(path)
    found = store.read(store.schema.names())
    np.testing.assert_array_equal(found["jet_label"], raw["jet_label"])
    eta, row = found["part_eta"], found["part_pt"].row_index()  # type: ignore[union-attr]
    assert isinstance(eta, Ragged)
    jet_eta = np.asarray(found["jet_eta"])[row]
    flipped = (eta.values - jet_eta) * np.where(jet_eta > 0, 1, -1)
    np.testing.assert_allclose(flipped, raw["part_deta"].flatten(), atol=2e-6)
    flags = [raw[f"part_is{name}"].flatten() for name in ("ChargedHadron", "NeutralHadron", "Photon")]
    assert isinstance(found["part_pid"], Ragged)
    for number, flag in enumerate(flags):
        np.testing.assert_array_equal(found["part_pid"].values == number, flag)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", ["part_charge", "jet_energy", "part_isMuon", "part_px"])
def test_missing_branch(exported: Path, tmp_path: Path, branch: str) -> None:
    path = edit_parquet(exported, tmp_path / "x.parquet", **{branch: None})
    with pytest.raises(DataError, match=rf"x.parquet lacks the JetClass branches {branch}"):
        ingest("jetclass", [path], output=tmp_path / "s")


def test_missing_label(exported: Path, tmp_path: Path) -> None:
    path = edit_parquet(exported, tmp_path / "x.parquet", label_Hgg=None)
    with pytest.raises(DataError, match="lacks the JetClass labels label_Hgg"):
        ingest("jetclass", [path], output=tmp_path / "s")


def test_two_labels(exported: Path, tmp_path: Path) -> None:
    path = edit_parquet(exported, tmp_path / "x.parquet", label_Hgg=pa.array([True] * 1000))
    with pytest.raises(DataError, match="has 2 labels, expected one"):
        ingest("jetclass", [path], output=tmp_path / "s")


def test_unknown_class_number(shared_data: Path, tmp_path: Path) -> None:
    labels = pa.array([188] * 100, pa.int32())
    path = edit_parquet(shared_data / "jetclass2_example.parquet", tmp_path / "x.parquet", jet_label=labels)
    with pytest.raises(DataError, match="'jet_label', row 0: 188 must be a class number from 0 to 187"):
        ingest("jetclass", [path], output=tmp_path / "s")


def test_nan_and_null(exported: Path, tmp_path: Path) -> None:
    values = read_parquet(exported)["jet_tau1"].to_pylist()
    path = edit_parquet(exported, tmp_path / "nan.parquet", jet_tau1=pa.array([float("nan"), *values[1:]]))
    with pytest.raises(DataError, match="'jet_tau1', row 0: nan must be finite"):
        ingest("jetclass", [path], output=tmp_path / "s")
    path = edit_parquet(exported, tmp_path / "null.parquet", jet_tau1=pa.array([None, *values[1:]]))
    with pytest.raises(DataError, match="'jet_tau1', row 0: nan must be finite"):
        ingest("jetclass", [path], output=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_files_of_other_classes_together(exported: Path, shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="other fields or classes"):
        ingest("jetclass", [exported, shared_data / "jetclass2_example.parquet"], output=tmp_path / "s")


@pytest.mark.parametrize("name", ["x.parquet", "x.root", "x.txt"])
def test_files_that_are_something_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"not a table, whatever its name says" * 20)
    with pytest.raises(DataError, match="no ROOT, Parquet, HDF5 or NumPy file"):
        ingest("jetclass", [path], output=tmp_path / "s")


def test_root_file_of_another_kind(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("uproot", reason="uproot is not installed")
    with pytest.raises(DataError, match=r"lacks the JetClass branches part_px, .* and 8 more"):
        ingest("jetclass", [shared_data / "nano_tt_v15.root"], output=tmp_path / "s")


@pytest.mark.parametrize(("files", "message"), [(["nowhere.root"], "no file nowhere.root"), ([], "no files")])
def test_no_files(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ingest("jetclass", files, output=tmp_path / "s")


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown reader 'jetclas'; did you mean 'jetclass'"):
        ingest("jetclas", [], output=tmp_path / "s")


def test_export_of_what_jetclass_has_not(tmp_path: Path, jet_columns: Any, jet_store: Store) -> None:
    schema = jet_schema(identity=False)
    columns = {name: column for name, column in jet_columns(5).items() if name in schema}
    store = Store.open(write_store(tmp_path / "a", schema, [("train", columns)], provenance={}))
    with pytest.raises(DataError, match="lacks: part_charge, part_pid"):
        export_store(store, tmp_path / "x.root")
    schema = jet_schema(tuple("abcdefghij"))
    store = Store.open(write_store(tmp_path / "b", schema, [("train", jet_columns(5))], provenance={}))
    with pytest.raises(DataError, match="JetClass has no label for: a, b"):
        export_store(store, tmp_path / "x.root")
    with pytest.raises(DataError, match="has no split 'tset'"):
        export_store(jet_store, tmp_path / "x.root", split="tset")
    with pytest.raises(ConfigError, match=r"must end in \.root or \.parquet"):
        export_store(jet_store, tmp_path / "x.csv")
    empty = Store.open(write_store(tmp_path / "c", jet_schema(), [], provenance={}))
    with pytest.raises(DataError, match="no rows to export"):
        export_store(empty, tmp_path / "x.root")
    assert not list(tmp_path.glob("x.*"))
    assert not list(tmp_path.glob(".partial*"))
