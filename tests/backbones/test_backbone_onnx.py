"""Both backbones export to ONNX with free batch size and length."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component

NAMES = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "delta_r", "deta", "dphi")


class Summary(nn.Module):
    """A backbone with tensors in and out."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        options = {"num_registers": 2, "causal": False} if name == "post_norm_transformer" else {}
        component = resolve_component(BACKBONES, {"name": name, "size": "xs", **options}, where="test")
        self.backbone = component.cls(component.config, feature_names=NAMES)

    def forward(self, x: Tensor, mask: Tensor, p4: Tensor) -> Tensor:
        pooled: Tensor = self.backbone(x, mask, p4).pooled_BD
        return pooled


def batch(rows: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    mask = torch.arange(length)[None] < torch.randint(0, length + 1, (rows, 1), generator=generator)
    p3 = torch.randn(rows, length, 3, generator=generator)
    p4 = torch.cat((p3.norm(dim=-1, keepdim=True) + 0.1, p3), dim=-1)
    x = torch.randn(rows, length, 7, generator=generator)
    return x * mask[..., None], mask, p4 * mask[..., None]


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "none"])
def test_export(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra hepfm[onnx]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra hepfm[onnx]")
    network, path = Summary(name).eval().requires_grad_(False), tmp_path / "backbone.onnx"
    dims = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("length", min=1)}
    names = ["x", "mask", "p4"]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own internals
        torch.onnx.export(
            network,
            batch(4, 11),
            path,
            input_names=names,
            dynamic_shapes=(dims, dims, dims),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(path)
    used = {entry.name for entry in session.get_inputs()}
    for rows, length in ((3, 5), (7, 29)):
        inputs = batch(rows, length)
        (found,) = session.run(
            None, {key: part.numpy() for key, part in zip(names, inputs, strict=True) if key in used}
        )
        np.testing.assert_allclose(found, network(*inputs).numpy(), atol=1e-5)
