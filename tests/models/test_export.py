"""ONNX files compute what torch computes, at other batch shapes than the exported one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import ModelError
from hepfm.core.jets import jet_schema
from hepfm.data import feature_set
from hepfm.heads import HEADS
from hepfm.models import export as export_module
from hepfm.models.build import build_network, seeded_init
from hepfm.models.directory import Model
from hepfm.models.export import export
from hepfm.models.fixture import random_batch
from hepfm.objectives.network import Output

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SPECS = {
    "transformer": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2},
    "particle_transformer": {"name": "particle_transformer", "size": "xs", "depth": 1},
}


def save(folder: Path, backbone_name: str, *, heads: bool = True, seed: int = 0) -> Path:
    schema = jet_schema(("QCD", "Tbqq"))
    backbone = resolve_component(BACKBONES, SPECS[backbone_name], where="test")
    head = Output(resolve_component(HEADS, "classify", where="test"), schema["jet_label"])
    with seeded_init(seed, "test"):
        network = build_network(backbone, feature_set("kin"), outputs=[head] if heads else [])
    Model(network, backbone, feature_set("kin"), schema).save(folder)
    return folder


@dataclass(frozen=True)
class Exported:
    """A model directory and its ONNX file."""

    backbone: str
    model: Path
    file: Path
    differences: dict[str, float]


@pytest.fixture(scope="module", params=SPECS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("onnx")
    model, file = save(folder / "model", request.param), folder / "model.onnx"
    return Exported(request.param, model, file, export(model, output=file))


def test_onnx_is_torch_at_any_shape(exported: Exported) -> None:
    assert exported.differences.keys() == {"jet_label"}
    session = onnxruntime.InferenceSession(exported.file, providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["hepfm"])
    assert facts["classes"] == {"jet_label": ["QCD", "Tbqq"]}
    assert facts["features"] == list(feature_set("kin").names)
    batch = random_batch(feature_set("kin"), rows=7, seed=9)
    assert batch.p4_BN4 is not None
    inputs = {"features": batch.features_BNF, "mask": batch.mask_BN, "p4": batch.p4_BN4}
    scores = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    with torch.no_grad():
        expected = Model.load(exported.model).network(batch)["jet_label"].softmax(-1).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter is replaced by one that writes the file of other weights."""
    model = save(tmp_path / "model", exported.backbone, seed=1)
    other = exported.file.read_bytes()
    monkeypatch.setattr(export_module, "_write", lambda _, __, path: path.write_bytes(other))
    with pytest.raises(ModelError, match="differs from torch"):
        export(model, output=tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_model_without_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no head"):
        export(save(tmp_path / "model", "transformer", heads=False), output=tmp_path / "model.onnx")
