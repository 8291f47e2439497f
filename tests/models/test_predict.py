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
from hepfm.data import feature_set
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
    with pytest.raises(DataError, match="not a field of the rows"):
        predict(model, jet_store.path, output=tmp_path / "s.arrow", observers=["part_pt"])


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
