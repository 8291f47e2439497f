"""Files of predictions: every format holds the same numbers in row order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, HepfmError, IncompatibleError
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Kind, Level
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.table import Table
from hepfm.heads import HEADS
from hepfm.inference.predict import predict
from hepfm.models.directory import Model
from hepfm.models.scores import embed, score
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec


@pytest.fixture
def model(jet_store: Store, tmp_path: Path) -> Path:
    backbone = resolve_component(
        BACKBONES, {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}, where="test"
    )
    output = HeadSpec(resolve_component(HEADS, "classify", where="test"), jet_store.schema["jet_label"])
    with seeded_init(0, "test"):
        network = build_network(backbone, feature_set("kin"), heads=[output])
    Model(network, backbone, feature_set("kin"), jet_store.schema).save(tmp_path / "model")
    return tmp_path / "model"


def test_arrow_holds_rows_observers_scores_and_embeddings_in_order(
    model: Path, jet_store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "scores.arrow"
    columns = predict(model, jet_store.path, output=file, split="test", observers=["jet_pt"], embeddings=True)
    with pa.memory_map(str(file)) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.column_names == columns
    rows = np.asarray(jet_store.split("test"))
    np.testing.assert_array_equal(table["row"].to_numpy(), rows)
    np.testing.assert_array_equal(table["jet_pt"].to_numpy(), jet_store.read(["jet_pt"], rows)["jet_pt"])
    expected = score(Model.load(model), jet_store, rows=rows)["jet_label"]
    np.testing.assert_allclose(table["jet_label_Tbl"].to_numpy(), expected[:, 9], atol=1e-6)
    assert table["embedding"].type == pa.list_(pa.float32(), 16)


def read(path: Path, name: str) -> np.ndarray:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)[name].to_numpy()
    if path.suffix == ".h5":
        with pytest.importorskip("h5py").File(path) as file:
            return np.asarray(file[name])
    with pytest.importorskip("uproot").open(path) as file:
        return np.asarray(file["tree"][name].array(library="np"))


@pytest.mark.parametrize("ending", ["parquet", "h5", "root"])
def test_other_formats_hold_the_same(model: Path, jet_store: Store, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"scores.{ending}"
    predict(model, jet_store.path, output=file)
    assert len(read(file, "row")) == jet_store.num_rows
    expected = score(Model.load(model), jet_store)["jet_label"]
    np.testing.assert_allclose(read(file, "jet_label_QCD"), expected[:, 0], atol=1e-6)


def test_an_unknown_ending_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.arrow, \.parquet"):
        predict(tmp_path / "none", tmp_path / "none", output=tmp_path / "scores.csv")


def test_an_unknown_observer_names_the_nearest(model: Path, jet_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'jet_pt'"):
        predict(model, jet_store.path, output=tmp_path / "s.arrow", observers=["jet_ptt"])
    with pytest.raises(ConfigError, match=r"part_pt are lists of constituents, and 's\.h5' holds no lists"):
        predict(model, jet_store.path, output=tmp_path / "s.h5", observers=["part_pt"])


def every_kind(store: Store) -> Table:
    """Return rows with numbers of events, weights, flags, classes and lists of every type that files hold."""
    columns = dict(store.read(store.schema.names(), np.arange(12)))
    extra = (
        Field("run", Level.OBJECT, Kind.COUNT, dtype="uint32"),
        Field("event", Level.OBJECT, Kind.COUNT, dtype="uint64"),
        Field("group", Level.OBJECT, Kind.COUNT, dtype="int64"),
        Field("passed", Level.OBJECT, Kind.FLAG, dtype="bool"),
        Field("weight", Level.OBJECT, Kind.CONTINUOUS, dtype="float64"),
        Field("part_index", Level.CONSTITUENT, Kind.COUNT, dtype="int16"),
    )
    columns["run"] = np.full(12, 4_000_000_000, np.uint32)
    columns["event"] = np.arange(12, dtype=np.uint64) + np.uint64(2**63)
    columns["group"] = -np.arange(12, dtype=np.int64)
    columns["passed"] = np.arange(12) % 3 == 0
    columns["weight"] = np.linspace(-1.0, 1.0, 12)
    lengths = columns["part_pt"].lengths
    columns["part_index"] = Ragged.from_lengths(np.arange(lengths.sum(), dtype=np.int16), lengths)
    return Table.from_dict(columns, jet_schema(store.schema["jet_label"].classes, extra=extra))


FLAT = ("run", "event", "group", "passed", "weight", "jet_label", "jet_pt")
LISTS = ("part_pt", "part_index")


@pytest.mark.parametrize("ending", [".arrow", ".parquet", ".root", ".h5"])
def test_observers_of_every_kind_are_read_by_others(
    model: Path, jet_store: Store, tmp_path: Path, ending: str
) -> None:
    """By pyarrow, pandas, uproot and h5py: the values, their types to the bit, and the lists."""
    table, file = every_kind(jet_store), tmp_path / f"s{ending}"
    lists = () if ending == ".h5" else LISTS
    predict(model, table, output=file, observers=[*FLAT, *lists], embeddings=True)
    expected = table.read([*FLAT, *lists], np.arange(12))
    found = READERS[ending](file)
    for name in FLAT:
        assert found[name].dtype == expected[name].dtype, name
        np.testing.assert_array_equal(found[name], expected[name])
    for name in lists:
        assert len(found[name]) == 12
        for number, one in enumerate(found[name]):
            np.testing.assert_array_equal(np.asarray(one), expected[name].row(number))
    loaded = Model.load(model)
    both = score(loaded, table, with_embedding=True)
    np.testing.assert_allclose(np.stack(list(found["embedding"])), embed(loaded, table), atol=1e-6)
    np.testing.assert_array_equal(both["embedding"], embed(loaded, table))
    np.testing.assert_array_equal(found["jet_label_QCD"], both["jet_label"][:, 0])


def read_arrow(path: Path) -> dict[str, np.ndarray]:
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return {name: table[name].to_numpy() for name in table.column_names}


def read_parquet(path: Path) -> dict[str, np.ndarray]:
    frame = pytest.importorskip("pandas").read_parquet(path)
    return {name: frame[name].to_numpy() for name in frame.columns}


def read_root(path: Path) -> dict[str, np.ndarray]:
    with pytest.importorskip("uproot").open(path) as file:
        return {name: file["tree"][name].array(library="np") for name in file["tree"].keys()}  # noqa: SIM118


def read_hdf5(path: Path) -> dict[str, np.ndarray]:
    with pytest.importorskip("h5py").File(path) as file:
        return {name: np.asarray(file[name]) for name in file}


READERS = {".arrow": read_arrow, ".parquet": read_parquet, ".root": read_root, ".h5": read_hdf5}


def test_an_observer_with_the_name_of_a_score_is_refused(
    model: Path, jet_store: Store, tmp_path: Path
) -> None:
    columns = dict(jet_store.read(jet_store.schema.names(), np.arange(3)))
    extra = (Field("row", Level.OBJECT, Kind.COUNT, dtype="int64"),)
    table = Table.from_dict(
        {**columns, "row": np.arange(3)}, jet_schema(jet_store.schema["jet_label"].classes, extra=extra)
    )
    with pytest.raises(DataError, match="name of a column of the predictions"):
        predict(model, table, output=tmp_path / "s.arrow", observers=["row"])


def test_root_files_hold_a_ttree_that_every_root_reads(model: Path, jet_store: Store, tmp_path: Path) -> None:
    uproot = pytest.importorskip("uproot", reason="uproot is not installed")
    path = tmp_path / "scores.root"
    predict(model, jet_store.path, output=path, split="test", observers=["jet_pt"], embeddings=True)
    with uproot.open(path) as file:
        assert file.classnames() == {"tree;1": "TTree"}
        tree = file["tree"]
        assert tree.num_entries == 200
        np.testing.assert_array_equal(tree["row"].array(library="np"), jet_store.split("test"))
        assert tree["embedding"].array(library="np").shape[0] == 200
        assert tree["embedding"].array().to_numpy().ndim == 2


@pytest.mark.parametrize("ending", [".arrow", ".parquet", ".h5", ".root"])
def test_files_are_replaced_only_when_told(
    model: Path, jet_store: Store, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"scores{ending}"
    path.write_text("precious")
    with pytest.raises(HepfmError, match="exists already; replace it with --overwrite"):
        predict(model, jet_store.path, output=path, split="test")
    assert path.read_text() == "precious"
    predict(model, jet_store.path, output=path, split="test", overwrite=True)
    assert path.stat().st_size > 100


@pytest.mark.parametrize("device", ["gpu", "cuda"])
def test_devices_that_are_not_there(
    model: Path, jet_store: Store, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"--device is '{device}'"):
        predict(model, jet_store.path, output=tmp_path / "a.arrow", device=device)


def test_a_table_is_predicted_as_the_store_of_the_same_rows(
    model: Path, jet_store: Store, tmp_path: Path
) -> None:
    """Without its label too, which a model does not read."""
    names = [name for name in jet_store.schema.names() if name != "jet_label"]
    rows = jet_store.split("val")
    table = Table.from_dict(jet_store.read(names, rows), jet_store.schema.having(names))
    loaded = Model.load(model)
    stored = score(loaded, jet_store, rows=rows)["jet_label"]
    np.testing.assert_array_equal(score(loaded, table)["jet_label"], stored)
    np.testing.assert_array_equal(score(loaded, table, rows=[7, 3, 7])["jet_label"], stored[[7, 3, 7]])
    np.testing.assert_array_equal(embed(loaded, table), embed(loaded, jet_store, rows=rows))
    predict(model, table, output=tmp_path / "s.parquet", observers=["jet_pt"])
    np.testing.assert_array_equal(read(tmp_path / "s.parquet", "jet_label_QCD"), stored[:, 0])
    names.remove("part_energy")
    lacking = Table.from_dict(table.read(names), table.schema.having(names))
    with pytest.raises(IncompatibleError, match="the table in memory lacks its fields part_energy"):
        score(loaded, lacking)
