"""ONNX files compute what torch computes, at other batch shapes than the exported one."""

from __future__ import annotations

import json
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


def save(folder: Path, backbone_name: str, *, heads: bool = True) -> Path:
    schema = jet_schema(("QCD", "Tbqq"))
    backbone = resolve_component(BACKBONES, SPECS[backbone_name], where="test")
    outputs = (
        [Output(resolve_component(HEADS, "classify", where="test"), schema["jet_label"])] if heads else []
    )
    with seeded_init(0, "test"):
        network = build_network(backbone, feature_set("kin"), outputs=outputs)
    Model(network, backbone, feature_set("kin"), schema).save(folder)
    return folder


@pytest.mark.parametrize("backbone", SPECS)
def test_onnx_is_torch_at_any_shape(tmp_path: Path, backbone: str) -> None:
    model = save(tmp_path / "model", backbone)
    found = export(model, output=tmp_path / "model.onnx")
    assert found.keys() == {"jet_label"}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["hepfm"])
    assert facts["classes"] == {"jet_label": ["QCD", "Tbqq"]}
    assert facts["features"] == list(feature_set("kin").names)
    batch = random_batch(feature_set("kin"), rows=7, seed=9)
    assert batch.p4_BN4 is not None
    inputs = {"features": batch.features_BNF, "mask": batch.mask_BN, "p4": batch.p4_BN4}
    given = {node.name for node in session.get_inputs()}
    scores = session.run(None, {name: value.numpy() for name, value in inputs.items() if name in given})[0]
    with torch.no_grad():
        expected = Model.load(model).network(batch)["jet_label"].softmax(-1).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(tmp_path / "model", "transformer")
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differs from torch"):
        export(model, output=tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_model_without_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no head"):
        export(save(tmp_path / "model", "transformer", heads=False), output=tmp_path / "model.onnx")
