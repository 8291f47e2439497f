"""Attention with its own gradient against the same thing written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hepfm.nn.attention import MultiHeadAttention, attention, causal_bias, key_bias
from hepfm.nn.dropout import Dropout
from hepfm.nn.packing import Packing


def written_out(qkv: Tensor, bias: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    q, k, v = qkv
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias).softmax(-1)
    return weights * factors @ v


def random_inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    qkv = torch.randn(3, 2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    return qkv, torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)


def test_biased_attention() -> None:
    qkv, bias = random_inputs()
    found = attention(qkv, bias, Dropout(0.0))
    torch.testing.assert_close(found, written_out(qkv, bias))
    direction = torch.randn_like(found)
    ours = torch.autograd.grad((found * direction).sum(), (qkv, bias))
    theirs = torch.autograd.grad((written_out(qkv, bias) * direction).sum(), (qkv, bias))
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradcheck(lambda a, b: attention(a, b, Dropout(0.0)), (qkv, bias))


@pytest.mark.parametrize("bias_shape", [(2, 2, 4, 4), (2, 1, 1, 4), (1, 1, 4, 4)])
def test_dropped_attention(bias_shape: tuple[int, ...]) -> None:
    qkv, _ = random_inputs()
    bias = torch.randn(bias_shape, dtype=torch.float64, requires_grad=True)
    dropout = Dropout(0.5).train()
    torch.manual_seed(3)
    found = attention(qkv, bias, dropout)
    torch.manual_seed(3)
    factors = dropout.mask(torch.Size((2, 2, 4, 4)), qkv)
    assert 0 < factors.count_nonzero() < factors.numel()
    expected = written_out(qkv, bias, factors)
    torch.testing.assert_close(found, expected)
    ours = torch.autograd.grad(found.square().sum(), (qkv, bias))
    torch.testing.assert_close(ours, torch.autograd.grad(expected.square().sum(), (qkv, bias)))


def test_evaluation_without_learned_bias_agrees() -> None:
    qkv, bias = random_inputs()
    found = attention(qkv, bias.detach(), Dropout(0.5).eval())
    torch.testing.assert_close(found, written_out(qkv, bias))


def test_masked_keys_get_no_weight_and_rows_without_keys_stay_finite() -> None:
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    qkv, _ = random_inputs()
    found = attention(qkv, key_bias(mask, torch.float64), Dropout(0.0))
    assert found.isfinite().all()
    alone = attention(qkv[:, :1, :, :2], torch.zeros(1, 1, 1, 2, dtype=torch.float64), Dropout(0.0))
    torch.testing.assert_close(found[:1, :, :2], alone)


def test_causal_bias() -> None:
    seen = causal_bias(4, prefix=2, dtype=torch.float32, device=torch.device("cpu"))[0, 0] == 0
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    assert torch.equal(seen, expected)


def test_against_torch_multihead_attention() -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(12, num_heads=3, dropout=0.0)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.in_proj.weight.data, ours.in_proj.bias.data
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    x, mask = torch.randn(2, 5, 12), torch.arange(5)[None] < torch.tensor([[5], [3]])
    expected, _ = theirs(x, x, x, key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, key_bias(mask, x.dtype)), expected, atol=1e-6, rtol=1e-5)
    scale = torch.tensor([1.0, 2.0, 3.0])
    packing = Packing.of(mask)
    packed = ours.packed(packing.pack(x), packing, key_bias(mask, x.dtype), scale)
    scaled = (expected * scale.repeat_interleave(4)) * mask[..., None]
    torch.testing.assert_close(packing.unpack(packed), scaled, atol=1e-6, rtol=1e-5)


def test_gradient_of_a_view() -> None:
    _, bias = random_inputs()
    stored = torch.randn(2, 4, 3, 2, 3, dtype=torch.float64, requires_grad=True)

    def value(stored: Tensor) -> Tensor:
        return attention(stored.permute(2, 0, 3, 1, 4), bias.detach(), Dropout(0.0))

    torch.testing.assert_close(value(stored), written_out(stored.permute(2, 0, 3, 1, 4), bias))
    assert torch.autograd.gradcheck(value, stored)


@pytest.mark.parametrize("bias_rows", [1, 5])
def test_many_rows_go_to_the_kernel_in_parts(monkeypatch: pytest.MonkeyPatch, bias_rows: int) -> None:
    torch.manual_seed(0)
    qkv, bias = torch.randn(3, 5, 2, 40, 4), torch.randn(bias_rows, 1, 40, 40)
    monkeypatch.setattr("hepfm.nn.attention._MAX_ROWS", 2)
    torch.testing.assert_close(attention(qkv, bias, Dropout(0.0)), written_out(qkv, bias))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("bias_type", [torch.float32, None])
def test_half_precision_is_single_precision_rounded(
    dtype: torch.dtype, rate: float, bias_type: torch.dtype | None
) -> None:
    """Under autocast and outside of it: query, key and value in half precision, a bias in either."""
    torch.manual_seed(0)
    qkv = torch.randn(3, 3, 2, 6, 4).to(dtype)
    bias = torch.randn(3, 2, 6, 6).to(bias_type or dtype)
    direction = torch.randn(3, 2, 6, 4)
    dropout = Dropout(rate).train()

    def run(dtype: torch.dtype, bias_type: torch.dtype, autocast: bool) -> tuple[Tensor, ...]:
        ours = qkv.to(dtype).requires_grad_(), bias.to(bias_type).requires_grad_()
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=dtype, enabled=autocast):
            found = attention(*ours, dropout)
        assert found.dtype == dtype
        gradients = torch.autograd.grad((found.float() * direction).sum(), ours)
        assert [one.dtype for one in gradients] == [dtype, bias_type]
        return tuple(one.float() for one in (found.detach(), *gradients))

    expected = run(torch.float32, torch.float32, autocast=False)
    for autocast in (False, True):
        found = run(dtype, bias_type or dtype, autocast)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=0.03 * float(theirs.abs().max()), rtol=0)
