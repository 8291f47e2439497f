"""The Particle Transformer gives weaver-core's outputs and gradients with weaver-core's weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hepfm.backbones.particle_transformer import ParticleTransformer
from hepfm.heads.classify import Classify
from hepfm.models.convert.weaver import map_weights

FILE = Path(__file__).with_name("weaver_particle_transformer.npz")


@pytest.fixture(scope="module")
def weaver() -> dict[str, Tensor]:
    """Weights, inputs, outputs and gradients of weaver-core 0.5.3; see make_weaver_fixture.py."""
    with np.load(FILE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def part(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def build(state: dict[str, Tensor]) -> tuple[ParticleTransformer, Classify]:
    weights = map_weights(state)
    config = weights.config.model_copy(update={"dropout": 0.0})
    backbone = ParticleTransformer(config, feature_names=[f"f{i}" for i in range(weights.num_features)])
    backbone.load_state_dict(dict(weights.backbone))
    return backbone, weights.build()[1]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_outputs_and_gradients(weaver: dict[str, Tensor], mode: str) -> None:
    state = part(weaver, "state/")
    backbone, head = build(state)
    backbone.train(mode == "train")
    x, mask, p4 = (weaver[f"{mode}/{name}"] for name in ("x", "mask", "p4"))
    output = head(backbone(x, mask, p4), mask)
    torch.testing.assert_close(output, weaver[f"{mode}/output"], atol=1e-5, rtol=0)
    (output * weaver[f"{mode}/direction"]).sum().backward()
    expected = map_weights({**state, **part(weaver, f"{mode}/grad/")})
    check_gradients(backbone, expected.backbone, mode)
    check_gradients(head, expected.head, mode)


def check_gradients(module: torch.nn.Module, expected: Any, mode: str) -> None:
    compared = 0
    for name, parameter in module.named_parameters():
        if name == "pairs.norm.bias" and mode == "train":
            continue  # taken out again by the next normalisation: zero up to rounding in both
        if parameter.requires_grad:
            size = float(expected[name].abs().max())
            torch.testing.assert_close(
                parameter.grad, expected[name], atol=1e-4 * size + 1e-6, rtol=0, msg=name
            )
            compared += 1
    assert compared > 1


def test_running_statistics(weaver: dict[str, Tensor]) -> None:
    state = part(weaver, "state/")
    backbone, _ = build(state)
    backbone.train()
    backbone(*(weaver[f"train/{name}"] for name in ("x", "mask", "p4")))
    expected = map_weights({**state, **part(weaver, "train/state/")}).backbone
    buffers = dict(backbone.named_buffers())
    assert len(buffers) == 10
    for name, value in buffers.items():
        assert not torch.equal(value, map_weights(state).backbone[name])
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


def test_published_configuration_against_weaver_itself() -> None:
    if importlib.util.find_spec("weaver") is None:
        pytest.skip("weaver-core is not installed beside this package")
    from weaver.nn.model.ParticleTransformer import ParticleTransformer as Weaver

    torch.manual_seed(0)
    theirs = Weaver(17, num_classes=10, use_pre_activation_pair=False, trim=False).eval()
    backbone, head = build(theirs.state_dict())
    backbone.eval()
    mask = torch.arange(40)[None] < torch.randint(1, 41, (16, 1))
    p3 = torch.randn(16, 40, 3) * 10
    p4 = torch.cat((p3.norm(dim=-1, keepdim=True) + 0.1, p3), dim=-1) * mask[..., None]
    x = torch.randn(16, 40, 17) * mask[..., None]
    with torch.no_grad():
        expected = theirs(x.transpose(1, 2), p4[..., [1, 2, 3, 0]].transpose(1, 2), mask[:, None])
        torch.testing.assert_close(head(backbone(x, mask, p4), mask), expected, atol=1e-5, rtol=0)
