"""Heads: outputs of rows, from a summary or from the constituents."""

from __future__ import annotations

import pytest
import torch
from builders import built

from hepfm.backbones.base import Features
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.heads import HEADS


def build(name: str, outputs: int = 3, **options: object) -> torch.nn.Module:
    spec = {"name": name, **options}
    head: torch.nn.Module = built(HEADS, spec, seed=0, width=4, num_outputs=outputs)
    return head.eval()


MASK = torch.tensor([[True, True, False], [False, False, False]])
TOKENS = torch.arange(24.0).view(2, 3, 4)


@pytest.mark.parametrize("name", ["classify", "regress"])
def test_linear_in_the_summary(name: str) -> None:
    head = build(name)
    pooled = torch.randn(2, 4)
    found = head(Features(TOKENS, pooled), MASK)
    torch.testing.assert_close(found, pooled @ head.linear.weight.T + head.linear.bias)
    mean = head(Features(TOKENS), MASK)
    torch.testing.assert_close(mean[0], head.linear(TOKENS[0, :2].mean(0)))
    assert mean.isfinite().all()


@pytest.mark.parametrize("name", ["classify", "regress"])
def test_hidden_layers(name: str) -> None:
    head = build(name, hidden=[5, 6], dropout=0.5)
    summary = torch.randn(2, 4)
    first, second = head.hidden.layers
    expected = head.linear(second(first(summary).relu()).relu())
    torch.testing.assert_close(head(Features(TOKENS, summary), MASK), expected)
    assert [layer.out_features for layer in (first, second, head.linear)] == [5, 6, 3]
    head.train()
    assert not torch.equal(head(Features(TOKENS, summary), MASK), head(Features(TOKENS, summary), MASK))


def test_regress_gives_physical_units() -> None:
    head = build("regress", 2, centre=[80.0, 0.5], scale=[20.0, 0.1])
    head.linear.weight.data.zero_()
    head.linear.bias.data = torch.tensor([1.0, -2.0])
    found = head(Features(TOKENS, TOKENS[:, 0]), MASK)
    torch.testing.assert_close(found, torch.tensor([[100.0, 0.3], [100.0, 0.3]]))
    assert set(head.state_dict()) == {"centre_K", "scale_K", "linear.weight", "linear.bias"}


def test_class_attention_reads_tokens_and_real_constituents_only() -> None:
    head = build("class_attention", num_heads=2, num_registers=2)
    tokens, registers = torch.randn(2, 3, 4), torch.randn(2, 3, 4)

    def logits(tokens: torch.Tensor, registers: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = head(Features(tokens, None, registers), MASK)
        return found

    expected = logits(tokens, registers)
    assert expected.shape == (2, 3)
    torch.testing.assert_close(logits(torch.where(MASK[..., None], tokens, 7.0), registers), expected)
    torch.testing.assert_close(logits(tokens[:, [1, 0, 2]], registers), expected)
    for index in range(3):  # the last register is attended to like a constituent
        assert not torch.allclose(
            logits(tokens, registers.index_fill(1, torch.tensor([index]), 1.0)), expected
        )
    swapped = logits(tokens, registers[:, [1, 0, 2]])
    assert not torch.allclose(swapped, expected)


def test_class_attention_of_an_empty_row_is_finite() -> None:
    head = build("class_attention", num_heads=2).train()
    logits = head(Features(torch.zeros(2, 3, 4), None, torch.randn(2, 4, 4)), MASK)
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_class_attention_needs_registers() -> None:
    head = build("class_attention", num_heads=2)
    with pytest.raises(
        IncompatibleError, match=r"reads 4 tokens of the backbone, which has 0.*head classify"
    ):
        head(Features(TOKENS), MASK)
    with pytest.raises(IncompatibleError, match="which has 3"):
        head(Features(TOKENS, None, TOKENS), MASK)
    with pytest.raises(IncompatibleError, match="width 4 is not a multiple of num_heads 8"):
        build("class_attention")


def test_bad_options() -> None:
    with pytest.raises(IncompatibleError, match="scale has 1 numbers for 2 targets"):
        build("regress", 2, scale=[1.0])
    with pytest.raises(ConfigError, match=r"scale\.0"):
        build("regress", 1, scale=[-1.0])
    with pytest.raises(ConfigError, match="dropout"):
        build("classify", dropout=1.5)
    with pytest.raises(ConfigError, match="did you mean 'classify'"):
        build("clasify")


def test_the_sum_head_adds_up_its_constituents() -> None:
    head = build("sum")
    found = head(Features(TOKENS), MASK)
    each = torch.relu(TOKENS @ head.each.weight.T + head.each.bias)
    torch.testing.assert_close(found[0], head.linear(each[0, 0] + each[0, 1]))
    torch.testing.assert_close(found[1], head.linear.bias)


def test_the_sum_head_of_omnijet_alpha_has_its_published_number_of_weights() -> None:
    component = resolve_component(HEADS, "sum", where="test")
    head = component.cls(component.config, width=256, num_outputs=2)
    assert sum(parameter.numel() for parameter in head.parameters()) == 66_306


@pytest.mark.parametrize("name", ["sum", "class_token"])
def test_heads_of_constituents_see_no_padding_and_no_order(name: str) -> None:
    head = build(name, **({"num_heads": 2} if name == "class_token" else {}))
    found = head(Features(TOKENS), MASK)
    assert found.shape == (2, 3)
    assert found.isfinite().all()
    changed = TOKENS.clone()
    changed[:, 2] = 99.0
    torch.testing.assert_close(head(Features(changed), MASK), found)
    torch.testing.assert_close(head(Features(TOKENS[:, [1, 0, 2]]), MASK), found)
    changed[0, 1] = torch.tensor([3.0, -1.0, 0.5, -2.0])
    assert not torch.allclose(head(Features(changed), MASK)[0], found[0])


def test_class_token_heads_divide_the_width() -> None:
    with pytest.raises(IncompatibleError, match="set num_heads to a divisor"):
        build("class_token", num_heads=3)


OF_SETS = ("assignment", "segments")
"""Heads of sets of constituents: what they are built of is required, see tests/objectives."""


@pytest.mark.parametrize("name", [name for name in HEADS if name not in OF_SETS])
@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_bfloat16_is_float32_to_its_precision(name: str, rate: float) -> None:
    """Forward and backward under autocast on a processor, dropout on where the head has it.

    A head without weights has no backward pass.
    """
    dropout = {"dropout": rate} if "dropout" in HEADS.load(name).Config.model_fields else {}
    heads = {"num_heads": 2} if "num_heads" in HEADS.load(name).Config.model_fields else {}
    outputs = 1 if HEADS.load(name).level in ("pair", "hidden") else 3
    head = build(name, outputs, **dropout, **heads).train()
    torch.manual_seed(1)
    tokens, registers = torch.randn(2, 3, 4), torch.randn(2, 4, 4)
    direction = torch.randn(head(Features(tokens, registers.mean(1), registers), MASK).shape)

    def step(autocast: bool) -> tuple[torch.Tensor, torch.Tensor]:
        head.zero_grad()
        torch.manual_seed(3)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            found = head(Features(tokens, registers.mean(1), registers), MASK).float()
        if next(head.parameters(), None) is None:
            return found, torch.ones(1)
        (direction * found).sum().backward()
        return found.detach(), torch.cat([w.grad.flatten() for w in head.parameters() if w.grad is not None])

    (expected, slope), (found, half_slope) = step(autocast=False), step(autocast=True)
    torch.testing.assert_close(found, expected, atol=0.05 * float(expected.abs().max()), rtol=0)
    assert float((half_slope - slope).norm() / slope.norm()) < 0.15
