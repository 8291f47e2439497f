"""The padding-free layout and back."""

from __future__ import annotations

import torch
from builders import mask_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.nn.packing import Packing, rows_to_add


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_pack_and_unpack(counts: list[int]) -> None:
    mask = mask_of(counts)
    x = torch.randn(*mask.shape, 3, dtype=torch.float64)
    packing = Packing.of(mask)
    packed = packing.pack(x)
    assert torch.equal(packed[: sum(counts)], x[mask])
    assert not packed[sum(counts) :].any()
    assert packing.real_T.sum() == sum(counts)
    assert len(packing.real_T) == len(packed)
    assert torch.equal(packing.unpack(packed), x * mask[..., None])
    kept = Packing(mask, None)
    assert torch.equal(kept.unpack(kept.pack(x)), x)
    assert torch.equal(kept.real_T, mask.flatten())


def test_gradients() -> None:
    packing = Packing.of(torch.tensor([[True, True, False], [True, False, False]]))
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(packing.pack, (x,))
    packed = torch.randn(64, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(packing.unpack, (packed,))


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_heads_are_the_transposed_padded_layout(counts: list[int]) -> None:
    mask = mask_of(counts)
    packing = Packing.of(mask)
    packed = torch.randn(len(packing.real_T), 3 * 2 * 4, dtype=torch.float64, requires_grad=True)
    found = packing.heads(packed, parts=3, heads=2)
    assert found.isfinite().all()
    padded = packing.unpack(packed).view(*mask.shape, 3, 2, 4).permute(2, 0, 3, 1, 4)
    real = mask[None, :, None, :, None].expand_as(found)
    assert torch.equal(found[real], padded[real])
    direction = torch.randn_like(found)
    ours = torch.autograd.grad((found * direction * real).sum(), packed)
    assert torch.equal(ours[0], torch.autograd.grad((padded * direction).sum(), packed)[0])


@given(count=st.integers(0, 10**7))
@settings(deadline=None, max_examples=200)
def test_few_sizes(count: int) -> None:
    total = count + rows_to_add(count)
    assert total % 16 == 0
    assert total - count < max(64, count / 16)
