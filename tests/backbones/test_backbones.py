"""The contract of every backbone of the registry, and what each of them is besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.testing.backbones import FEATURE_NAMES, LAWS, BackboneCase, random_rows

NAMES = tuple(name for name in BACKBONES if name != "none")
ATTENTIVE = tuple(name for name in NAMES if "num_heads" in BACKBONES.load(name).Config.model_fields)
"""Backbones with attention, of 3 blocks at their smallest size."""
SUMMARISING: dict[str, dict[str, Any]] = {"post_norm_transformer": {"num_registers": 2, "causal": False}}
"""Options by which a backbone that is causal by default sees the whole row and has a summary of it."""


def case(name: str) -> BackboneCase:
    return BackboneCase(name, SUMMARISING.get(name, {}))


def build(name: str, *, dropout: float = 0.0, **options: Any) -> Backbone:
    return case(name).build(dropout=dropout, **options)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, law: Callable[[BackboneCase], None]) -> None:
    law(case(name))


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_drops_other_things_out(name: str) -> None:
    backbone, inputs = build(name, dropout=0.3).train(), random_rows([9, 5])
    torch.manual_seed(1)
    first = backbone(*inputs).pooled_BD
    torch.manual_seed(2)
    assert not torch.equal(first, backbone(*inputs).pooled_BD)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_layers_are_inputs_blocks_and_summary(name: str) -> None:
    assert len(build(name).layers()) == 3 + 2


@pytest.mark.parametrize(
    ("name", "size", "millions"),
    [
        ("transformer", "xs", 0.16),
        ("transformer", "s", 2.0),
        ("transformer", "m", 31.8),
        ("transformer", "l", 303.4),
        ("particle_transformer", "xs", 0.14),
        ("particle_transformer", "s", 2.14),
        ("particle_transformer", "m", 29.7),
        ("particle_transformer", "l", 311.0),
    ],
)
def test_sizes(name: str, size: str, millions: float) -> None:
    component = resolve_component(BACKBONES, {"name": name, "size": size}, where="test")
    with torch.device("meta"):
        backbone = component.cls(component.config, feature_names=[f"f{i}" for i in range(17)])
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.03)


def test_published_network_has_its_published_number_of_parameters() -> None:
    component = resolve_component(BACKBONES, {"name": "particle_transformer", "size": "s"}, where="test")
    backbone = component.cls(component.config, feature_names=[f"f{i}" for i in range(17)])
    head = 128 * 10 + 10
    assert sum(parameter.numel() for parameter in backbone.parameters()) + head == 2_143_486
    without_pairs = component.config.model_copy(update={"pair_widths": ()})
    plain = component.cls(without_pairs, feature_names=[f"f{i}" for i in range(17)])
    assert sum(parameter.numel() for parameter in plain.parameters()) + head == 2_133_918


def test_causal_tokens_do_not_see_what_follows() -> None:
    backbone = build("transformer", causal=True).eval()
    assert "causal" in backbone.supports
    x, mask, p4 = random_rows([8, 8])
    before = backbone(x, mask, p4)
    assert before.pooled_BD is None
    x = x.clone()
    x[:, 5] += 1.0
    change = (backbone(x, mask, p4).tokens_BND - before.tokens_BND).abs().amax((0, 2))
    assert change[:5].max() == 0
    assert change[5:].min() > 1e-6


def test_transformer_without_registers_has_no_summary() -> None:
    backbone = build("transformer", num_registers=0)
    assert backbone(*random_rows([3, 0])).pooled_BD is None


def test_particle_transformer_sees_pairs() -> None:
    backbone = build("particle_transformer").eval()
    x, mask, p4 = random_rows([6, 6])
    boosted = p4 * torch.tensor([1.0, 1.0, 1.0, -1.0], dtype=p4.dtype)
    mirrored = backbone(x, mask, boosted)
    torch.testing.assert_close(mirrored.pooled_BD, backbone(x, mask, p4).pooled_BD, atol=1e-9, rtol=1e-9)
    assert not torch.allclose(backbone(x, mask, p4.flip(0)).pooled_BD, mirrored.pooled_BD)


def test_plain_particle_transformer_needs_no_momenta() -> None:
    x, mask, _ = random_rows([4, 2])
    assert build("particle_transformer", pair_widths=[])(x, mask).pooled_BD.isfinite().all()
    with pytest.raises(IncompatibleError, match="four-momenta"):
        build("particle_transformer")(x, mask)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_the_width_is_a_multiple_of_the_heads(name: str) -> None:
    with pytest.raises(ConfigError, match="not a multiple of num_heads"):
        build(name, width=65)


@pytest.mark.parametrize("name", NAMES)
def test_bad_options(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown key 'dropot'; did you mean 'dropout'"):
        build(name, dropot=0.1)
    with pytest.raises(ConfigError, match="dropout"):
        build(name, dropout=1.0)
    with pytest.raises(ConfigError, match="unknown size 'x'"):
        build(name, size="x")


@pytest.mark.parametrize("name", ["transformer", "post_norm_transformer"])
@pytest.mark.parametrize("num_codes", [None, 50])
@pytest.mark.parametrize("registers", [0, 3])
def test_a_row_that_grows_gets_the_features_of_the_causal_pass(
    name: str, num_codes: int | None, registers: int
) -> None:
    spec = {"name": name, "size": "xs", "num_registers": registers}
    component = resolve_component(BACKBONES, spec, where="test")
    torch.manual_seed(1)
    backbone = component.cls(component.config, feature_names=FEATURE_NAMES, num_codes=num_codes)
    backbone = backbone.double().eval()
    x, mask, _ = random_rows([7, 7])
    if num_codes is not None:
        x = torch.randint(0, num_codes, (2, 7))
    prefix = torch.randn(2, 2, backbone.width, dtype=torch.float64)
    with torch.no_grad():
        whole = backbone(x, mask, prefix_BKD=prefix, causal=True)
        cache = backbone.start_cache(2, 9)
        first = backbone.extend(None, cache, prefix)
        steps = [backbone.extend(x[:, k : k + 1], cache) for k in range(7)]
    torch.testing.assert_close(first, whole.prefix_BKD, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(torch.cat(steps, 1), whole.tokens_BND, atol=1e-10, rtol=1e-10)


def test_the_blocks_of_omnijet_alpha_have_their_published_number_of_weights() -> None:
    component = resolve_component(BACKBONES, "post_norm_transformer", where="test")
    backbone = component.cls(component.config, feature_names=("deta", "dphi", "log_pt"), num_codes=8192)
    assert sum(parameter.numel() for parameter in backbone.blocks.parameters()) == 2_366_976
    assert backbone.embedding.weight.shape == (8192, 256)


def test_no_backbone_returns_its_input() -> None:
    component = resolve_component(BACKBONES, "none", where="test")
    backbone = component.cls(component.config, feature_names=FEATURE_NAMES)
    x, mask, p4 = random_rows([3, 0, 5])
    assert torch.equal(backbone(x, mask, p4).tokens_BND, x)
    assert list(backbone.parameters()) == []
