"""Real published files, from file to scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.data import feature_set
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.heads import HEADS
from hepfm.inference.predict import predict
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec

uproot = pytest.importorskip("uproot", reason="the extra 'io' is not installed")

FILES: list[tuple[str, str, dict[str, Any], int]] = [
    ("jetclass2_example.parquet", "jetclass", {}, 100),
    ("nano_tt_v15.root", "nanoaod", {}, 50),
    ("pfnano.root", "nanoaod", {"puppi": True, "jets": "FatJet"}, 1),
    ("delphes_events_example.root", "delphes", {}, 1),
]
"""File, reader, its options, and the least number of jets."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained classifier of ten classes that reads kinematics, charge and type."""
    schema = jet_schema(JETCLASS_CLASSES)
    backbone = resolve_component(BACKBONES, {"name": "particle_transformer", "size": "xs"}, where="test")
    head = HeadSpec(resolve_component(HEADS, "classify", where="test"), schema["jet_label"])
    with seeded_init(1, "test"):
        network = build_network(backbone, feature_set("kinpid"), heads=[head])
    path = tmp_path_factory.mktemp("model") / "model"
    Model(network.eval(), backbone, feature_set("kinpid"), schema).save(path)
    return path


@pytest.mark.parametrize(("name", "reader", "options", "jets"), FILES, ids=[file[0] for file in FILES])
def test_from_file_to_scores(
    shared_data: Path, tmp_path: Path, model: Path, name: str, reader: str, options: dict[str, Any], jets: int
) -> None:
    store = Store.open(ingest(reader, [shared_data / name], output=tmp_path / "store", options=options))
    assert len(store) >= jets
    predict(model, store.path, output=tmp_path / "scores.root", observers=["jet_pt"], device="cpu")
    scores = uproot.open(tmp_path / "scores.root")["tree"].arrays(library="np")
    np.testing.assert_array_equal(scores["row"], np.arange(len(store)))
    np.testing.assert_array_equal(scores["jet_pt"], store.read(["jet_pt"])["jet_pt"])
    total = sum(scores[f"jet_label_{each}"] for each in JETCLASS_CLASSES)
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    assert np.unique(scores["jet_label_QCD"]).size > len(store) / 2, "jets differ, so must scores"
