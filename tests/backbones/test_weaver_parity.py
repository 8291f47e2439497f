"""Particle Transformer and ParticleNet give weaver-core's outputs and gradients with its weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hepfm.backbones.base import Backbone
from hepfm.heads.classify import Classify
from hepfm.models.convert.weaver import particle_transformer, particlenet
from hepfm.models.convert.weaver.state import WeaverWeights

FOLDER = Path(__file__).parent
NO_DROPOUT = dict.fromkeys(("dropout", "attn_dropout", "activation_dropout"), 0.0)
PAPER = {"use_pre_activation_pair": False}
CONVOLUTIONS = [(4, (8, 8)), (5, (12, 10, 12)), (3, (12,))]
AXES = ("deta", "dphi")


@dataclass(frozen=True)
class Case:
    """A network of a fixture; see make_weaver_fixture.py and make_particlenet_fixture.py."""

    file: str
    prefix: str
    kind: Any
    options: dict[str, Any]
    buffers: int

    def arrays(self) -> dict[str, Tensor]:
        with np.load(FOLDER / self.file) as arrays:
            return {
                name.removeprefix(self.prefix): torch.from_numpy(arrays[name])
                for name in arrays.files
                if name.startswith(self.prefix)
            }

    def weights(self, state: dict[str, Tensor]) -> WeaverWeights:
        weights: WeaverWeights = self.kind.map_weights(state, self.options)
        return weights


CASES = {
    "particle_transformer": Case(
        "weaver_particle_transformer.npz",
        "",
        particle_transformer,
        {**PAPER, "block_params": NO_DROPOUT},
        10,
    ),
    "particlenet": Case(
        "weaver_particlenet.npz", "plain/", particlenet, {"conv_params": CONVOLUTIONS}, 2 * (1 + 6 + 2)
    ),
    "particlenet_fusion": Case(
        "weaver_particlenet.npz", "fusion/", particlenet, {"conv_params": CONVOLUTIONS}, 2 * (1 + 6 + 2 + 1)
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def part(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def names(number: int) -> tuple[str, ...]:
    return (*AXES, *(f"f{k}" for k in range(2, number)))


def build(weights: WeaverWeights) -> tuple[Backbone, Classify]:
    return weights.build(names(weights.num_features))


def inputs(arrays: dict[str, Tensor], mode: str) -> tuple[Tensor | None, ...]:
    return tuple(arrays.get(f"{mode}/{name}") for name in ("x", "mask", "p4"))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_outputs_and_gradients(case: Case, mode: str) -> None:
    arrays = case.arrays()
    state = part(arrays, "state/")
    backbone, head = build(case.weights(state))
    backbone.train(mode == "train")
    x, mask, p4 = inputs(arrays, mode)
    output = head(backbone(x, mask, p4), mask)
    torch.testing.assert_close(output, arrays[f"{mode}/output"], atol=1e-5, rtol=0)
    (output * arrays[f"{mode}/direction"]).sum().backward()
    expected = case.weights({**state, **part(arrays, f"{mode}/grad/")})
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


def test_running_statistics(case: Case) -> None:
    arrays = case.arrays()
    state = part(arrays, "state/")
    backbone, _ = build(case.weights(state))
    backbone.train()
    backbone(*inputs(arrays, "train"))
    expected = case.weights({**state, **part(arrays, "train/state/")}).backbone
    buffers = dict(backbone.named_buffers())
    assert len(buffers) == case.buffers
    for name, value in buffers.items():
        assert not torch.equal(value, case.weights(state).backbone[name])
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


def test_published_configurations_against_weaver_itself() -> None:
    if importlib.util.find_spec("weaver") is None:
        pytest.skip("weaver-core is not installed beside this package")
    from weaver.nn.model.ParticleNet import ParticleNet
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    torch.manual_seed(0)
    mask = torch.arange(40)[None] < torch.randint(1, 41, (16, 1))
    p3 = torch.randn(16, 40, 3) * 10
    p4 = torch.cat((p3.norm(dim=-1, keepdim=True) + 0.1, p3), dim=-1) * mask[..., None]
    x = torch.randn(16, 40, 17) * mask[..., None]
    first, second = x.transpose(1, 2), p4[..., [1, 2, 3, 0]].transpose(1, 2)
    for pre_activation in (False, True):
        options = {"use_pre_activation_pair": pre_activation}
        theirs = ParticleTransformer(17, num_classes=10, trim=False, **options).eval()
        backbone, head = build(particle_transformer.map_weights(theirs.state_dict(), options))
        with torch.no_grad():
            expected = theirs(first, second, mask[:, None])
            output = head(backbone.eval()(x, mask, p4), mask)
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    convolutions = [(16, (size,) * 3) for size in (64, 128, 256)]
    net = ParticleNet(17, 10, convolutions, [(256, 0.1)], use_fusion=False, trim=False).eval()
    backbone, head = build(particlenet.map_weights(net.state_dict(), {"conv_params": convolutions}))
    with torch.no_grad():
        expected = net(first[:, :2], first, mask[:, None])
        output = head.eval()(backbone.eval()(x, mask), mask)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
