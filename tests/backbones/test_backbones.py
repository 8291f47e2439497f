"""Laws that hold for every backbone of the registry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from builders import built, generator, mask_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError

NAMES_OF_FEATURES = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "delta_r", "deta", "dphi")
NUM_FEATURES = len(NAMES_OF_FEATURES)
NAMES = tuple(name for name in BACKBONES if name != "none")
SUMMARISING: dict[str, dict[str, Any]] = {"post_norm_transformer": {"num_registers": 2, "causal": False}}
"""Options by which a backbone that is causal by default sees the whole row and has a summary of it."""
Inputs = tuple[Tensor, Tensor, Tensor]


def build(name: str, **options: Any) -> Backbone:
    spec = {"name": name, "size": "xs", **SUMMARISING.get(name, {}), **options}
    backbone: Backbone = built(BACKBONES, spec, feature_names=NAMES_OF_FEATURES)
    return backbone


def jets(counts: list[int], *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    draw, mask = generator(seed), mask_of(counts)

    def normal() -> Tensor:
        return torch.randn(mask.shape, generator=draw, dtype=dtype)

    pt, eta, phi = normal().exp(), 0.5 * normal(), 0.5 * normal()
    p4 = torch.stack((pt * eta.cosh() + 0.1, pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()), dim=-1)
    x = torch.randn(*mask.shape, NUM_FEATURES, generator=draw, dtype=dtype)
    return x * mask[..., None], mask, p4 * mask[..., None]


def pad(inputs: Inputs, extra: int, *, junk: float = 0.0) -> Inputs:
    x, mask, p4 = inputs
    return (
        torch.nn.functional.pad(x, (0, 0, 0, extra), value=junk),
        torch.nn.functional.pad(mask, (0, extra)),
        torch.nn.functional.pad(p4, (0, 0, 0, extra), value=junk),
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=5), extra=st.integers(1, 6))
@settings(deadline=None, max_examples=15)
def test_padding_changes_nothing(name: str, training: bool, counts: list[int], extra: int) -> None:
    inputs = jets(counts)
    plain, padded = (build(name, dropout=0.0).double().train(training) for _ in range(2))
    expected, found = plain(*inputs), padded(*pad(inputs, extra, junk=3.0))
    torch.testing.assert_close(found.pooled_BD, expected.pooled_BD, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(
        found.tokens_BND[:, : inputs[1].shape[1]], expected.tokens_BND, atol=1e-9, rtol=1e-9
    )
    assert not found.tokens_BND[:, inputs[1].shape[1] :].any()
    for (key, ours), theirs in zip(plain.named_buffers(), padded.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9, msg=key)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_order_of_constituents_does_not_matter(name: str, seed: int) -> None:
    backbone = build(name).double().eval()
    x, mask, p4 = jets([8, 8], seed=seed)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    expected, found = backbone(x, mask, p4), backbone(x[:, order], mask, p4[:, order])
    torch.testing.assert_close(found.pooled_BD, expected.pooled_BD, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(found.tokens_BND, expected.tokens_BND[:, order], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_features_see_the_whole_row_and_only_it(name: str) -> None:
    backbone = build(name).double().eval()
    x, mask, p4 = jets([6, 6])
    before = backbone(x, mask, p4)
    x = x.clone()
    x[0, 5, 0] += 1.0
    after = backbone(x, mask, p4)
    assert (after.tokens_BND[0] - before.tokens_BND[0]).abs().amax(-1).min() > 1e-6
    torch.testing.assert_close(after.tokens_BND[1], before.tokens_BND[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("counts", [[0], [0, 0], [1], [0, 1, 30]])
@pytest.mark.parametrize("training", [False, True])
def test_empty_and_tiny_rows_are_finite(name: str, counts: list[int], training: bool) -> None:
    backbone = build(name, dropout=0.1).train(training)
    features = backbone(*jets(counts, dtype=torch.float32))
    assert features.tokens_BND.isfinite().all()
    assert features.pooled_BD.isfinite().all()
    (features.pooled_BD.square().sum() + features.tokens_BND.square().sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in backbone.parameters())
    assert all(buffer.isfinite().all() for buffer in backbone.buffers())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([5], id="one-row"),
        pytest.param([0, 3], id="an-empty-row"),
        pytest.param([1, 2, 3, 4, 5, 6, 7, 8] * 5, id="40-short-rows"),
        pytest.param([33, 40, 20], id="long-rows"),
    ],
)
def test_bfloat16_is_float32_to_its_precision(name: str, dropout: float, counts: list[int]) -> None:
    """A training step under autocast on a processor, as with ``train.precision=bfloat16``."""
    backbone = build(name, dropout=dropout).train()
    inputs = jets(counts, dtype=torch.float32)
    direction = torch.randn((inputs[1].numel() + len(counts)) * backbone.width)

    def step(autocast: bool) -> tuple[Tensor, Tensor]:
        backbone.zero_grad()
        torch.manual_seed(3)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            features = backbone(*inputs)
        tokens, pooled = features.tokens_BND.float(), features.pooled_BD.float()
        (direction * torch.cat((tokens.flatten(), pooled.flatten()))).sum().backward()
        gradients = [weight.grad.flatten() for weight in backbone.parameters() if weight.grad is not None]
        return tokens.detach(), torch.cat(gradients)

    (expected, slope), (found, half_slope) = step(autocast=False), step(autocast=True)
    torch.testing.assert_close(found, expected, atol=0.05 * float(expected.abs().max()), rtol=0)
    # Bfloat16 has eight bits, and some activations change sides at a ReLU.
    assert float((half_slope - slope).norm() / slope.norm()) < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_every_trainable_parameter(name: str) -> None:
    backbone = build(name, dropout=0.0).double().train()
    features = backbone(*jets([9, 5, 7, 3]))
    (features.pooled_BD[:, ::3].sum() + features.tokens_BND[..., ::2].square().sum()).backward()
    silent = [
        key
        for key, parameter in backbone.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_seed_determines_dropout(name: str) -> None:
    backbone = build(name, dropout=0.3).train()
    inputs = jets([9, 5], dtype=torch.float32)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(backbone(*inputs).pooled_BD)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(backbone.eval()(*inputs).pooled_BD, backbone(*inputs).pooled_BD)


@pytest.mark.parametrize("name", NAMES)
def test_layers_hold_every_parameter_once(name: str) -> None:
    backbone = build(name)
    grouped = [id(parameter) for group in backbone.layers() for parameter in group]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())
    assert len(backbone.layers()) == 3 + 2


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
    backbone = build("transformer", causal=True).double().eval()
    assert "causal" in backbone.supports
    x, mask, p4 = jets([8, 8])
    before = backbone(x, mask, p4)
    assert before.pooled_BD is None
    x = x.clone()
    x[:, 5] += 1.0
    change = (backbone(x, mask, p4).tokens_BND - before.tokens_BND).abs().amax((0, 2))
    assert change[:5].max() == 0
    assert change[5:].min() > 1e-6


def test_transformer_without_registers_has_no_summary() -> None:
    backbone = build("transformer", num_registers=0)
    assert backbone(*jets([3, 0], dtype=torch.float32)).pooled_BD is None


def test_particle_transformer_sees_pairs() -> None:
    backbone = build("particle_transformer").double().eval()
    x, mask, p4 = jets([6, 6])
    boosted = p4 * torch.tensor([1.0, 1.0, 1.0, -1.0], dtype=p4.dtype)
    mirrored = backbone(x, mask, boosted)
    torch.testing.assert_close(mirrored.pooled_BD, backbone(x, mask, p4).pooled_BD, atol=1e-9, rtol=1e-9)
    assert not torch.allclose(backbone(x, mask, p4.flip(0)).pooled_BD, mirrored.pooled_BD)


@pytest.mark.parametrize("name", [name for name in NAMES if BACKBONES.load(name).needs])
def test_azimuth_and_boost_along_the_beam_do_not_matter(name: str) -> None:
    """The frame of the four-momenta that a batch promises; see `Batch.p4_BN4`."""
    backbone = build(name).double().eval()
    x, mask, p4 = jets([8, 5])
    energy, px, py, pz = p4.unbind(-1)
    angle, rapidity = torch.tensor(1.1).double(), torch.tensor(0.8).double()
    moved = torch.stack(
        (
            energy * rapidity.cosh() + pz * rapidity.sinh(),
            px * angle.cos() - py * angle.sin(),
            px * angle.sin() + py * angle.cos(),
            pz * rapidity.cosh() + energy * rapidity.sinh(),
        ),
        dim=-1,
    )
    expected, found = backbone(x, mask, p4), backbone(x, mask, moved)
    torch.testing.assert_close(found.pooled_BD, expected.pooled_BD, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_forward_embeds_then_encodes(name: str) -> None:
    backbone = build(name).double().eval()
    x, mask, p4 = jets([6, 0, 3])
    h = backbone.embed(x, mask)
    assert h.shape == (*mask.shape, backbone.width)
    parts = backbone.encode(h, mask, p4, physical_BNF=x)
    whole = backbone(x, mask, p4)
    assert torch.equal(parts.tokens_BND, whole.tokens_BND)
    assert torch.equal(parts.pooled_BD, whole.pooled_BD)


@pytest.mark.parametrize("name", [name for name in NAMES if "placeholder" in BACKBONES.load(name).supports])
def test_of_a_replaced_constituent_nothing_is_known(name: str) -> None:
    backbone = build(name).double().eval()
    x, mask, p4 = jets([6, 4])
    hidden = mask & (torch.arange(6) == 2)
    other_x, other_p4 = (values + 0.7 * hidden[..., None] for values in (x, p4))
    placeholder = torch.randn(backbone.width, dtype=torch.float64)
    first, second = (
        backbone.encode(
            torch.where(hidden[..., None], placeholder, backbone.embed(features, mask)),
            mask,
            momenta,
            physical_BNF=features,
        )
        for features, momenta in ((x, p4), (other_x, other_p4))
    )
    assert torch.equal(first.tokens_BND, second.tokens_BND)
    assert torch.equal(first.pooled_BD, second.pooled_BD)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_backbone_needs_and_supports_is_among_what_there_is(name: str) -> None:
    backbone = BACKBONES.load(name)
    assert backbone.needs <= {"p4"}
    assert backbone.supports <= {"prefix", "causal", "codes", "placeholder"}


def test_plain_particle_transformer_needs_no_momenta() -> None:
    x, mask, _ = jets([4, 2], dtype=torch.float32)
    assert build("particle_transformer", pair_widths=[])(x, mask).pooled_BD.isfinite().all()
    with pytest.raises(IncompatibleError, match="four-momenta"):
        build("particle_transformer")(x, mask)


@pytest.mark.parametrize("name", NAMES)
def test_bad_options(name: str) -> None:
    with pytest.raises(ConfigError, match="not a multiple of num_heads"):
        build(name, width=65)
    with pytest.raises(ConfigError, match="unknown key 'widht'; did you mean 'width'"):
        build(name, widht=64)
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
    backbone = component.cls(component.config, feature_names=NAMES_OF_FEATURES, num_codes=num_codes)
    backbone = backbone.double().eval()
    x, mask, _ = jets([7, 7])
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
    backbone = component.cls(component.config, feature_names=NAMES_OF_FEATURES)
    x, mask, p4 = jets([3, 0, 5])
    assert torch.equal(backbone(x, mask, p4).tokens_BND, x)
    assert list(backbone.parameters()) == []
