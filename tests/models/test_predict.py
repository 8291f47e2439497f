"""Files of predictions: every format holds the same numbers in row order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError
from hepfm.data import feature_set
from hepfm.data.store import Store
from hepfm.heads import HEADS
from hepfm.inference.predict import predict
from hepfm.models.directory import Model
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
    expected = Model.load(model).predict(jet_store, rows=rows)["jet_label"]
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
    expected = Model.load(model).predict(jet_store)["jet_label"]
    np.testing.assert_allclose(read(file, "jet_label_QCD"), expected[:, 0], atol=1e-6)


def test_an_unknown_ending_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.arrow, \.parquet"):
        predict(tmp_path / "none", tmp_path / "none", output=tmp_path / "scores.csv")


def test_an_unknown_observer_names_the_nearest(model: Path, jet_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'jet_pt'"):
        predict(model, jet_store.path, output=tmp_path / "s.arrow", observers=["jet_ptt"])
    with pytest.raises(DataError, match="not a field of the rows"):
        predict(model, jet_store.path, output=tmp_path / "s.arrow", observers=["part_pt"])
