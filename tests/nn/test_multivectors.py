"""Multivectors in pairs of dual components against the dense forms of package ``lgatr``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lgatr
import pytest
import torch
from lgatr.layers.linear import EquiLinear
from torch import Tensor

from hepfm.core.errors import IncompatibleError
from hepfm.nn.dual_pairs import PAIRS, Algebra
from hepfm.nn.kernels.geometric_product import geometric_products
from hepfm.nn.multivectors import Matrices

TOKENS, CHANNELS, SCALARS, HEADS = 5, 3, 4, 2
PRIMITIVES = lgatr.PrimitivesConfig()


@pytest.fixture
def algebra() -> Algebra:
    torch.manual_seed(0)
    return Algebra(lgatr, PRIMITIVES).double()


def multivectors(channels: int = CHANNELS) -> Tensor:
    return torch.randn(TOKENS, channels, 16).double()


def layer(channels_out: int, scalars_out: int, *, bias: bool = True, scalars_in: int = SCALARS) -> Any:
    return EquiLinear(
        CHANNELS, channels_out, PRIMITIVES, in_s_channels=scalars_in, out_s_channels=scalars_out, bias=bias
    ).double()


def test_parts_and_back(algebra: Algebra) -> None:
    mv = multivectors()
    parts = algebra.cut(mv)
    assert [len(part) for part in parts] == list(PAIRS)
    assert torch.equal(algebra.join(parts), mv)
    assert torch.equal(parts[0][0, :, :CHANNELS], mv[..., 0])
    assert torch.equal(parts[1][:, :, :CHANNELS].permute(1, 2, 0), mv[..., 1:5])


@pytest.mark.parametrize("scalars_out", [0, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layer(algebra: Algebra, scalars_out: int, bias: bool) -> None:
    dense, mv, s = layer(4, scalars_out, bias=bias), multivectors(), torch.randn(TOKENS, SCALARS).double()
    for weight in dense.parameters():
        torch.nn.init.normal_(weight)
    expected_mv, expected_s = dense(mv, s)
    parts, s_out = Matrices.of(dense, algebra)((algebra.cut(mv), s))
    torch.testing.assert_close(algebra.join(parts), expected_mv)
    assert s_out.shape == (TOKENS, scalars_out)
    if scalars_out:
        torch.testing.assert_close(s_out, expected_s)


def test_layers_by_heads(algebra: Algebra) -> None:
    """Heads come last in the package's channels that come out, and first in those that go in."""
    mv, s = multivectors(), torch.randn(TOKENS, SCALARS).double()
    dense = layer(3 * 5 * HEADS, 3 * 2 * HEADS)
    expected_mv, expected_s = dense(mv, s)
    parts, s_out = Matrices.of(dense, algebra).to_heads(HEADS)((algebra.cut(mv), s))
    heads_mv = expected_mv.unflatten(1, (3, 5, HEADS)).transpose(2, 3).flatten(1, 2).unbind(1)
    heads_parts = zip(*(part.chunk(3 * HEADS, dim=2) for part in parts), strict=True)
    for parts_head, expected in zip(heads_parts, heads_mv, strict=True):
        torch.testing.assert_close(algebra.join(parts_head), expected)
    torch.testing.assert_close(
        s_out.unflatten(1, (3, HEADS, 2)), expected_s.unflatten(1, (3, 2, HEADS)).transpose(2, 3)
    )


def test_layer_of_heads(algebra: Algebra) -> None:
    dense, scale = layer(4, 3, scalars_in=2 * HEADS), torch.tensor([2.0, -3.0]).double()
    dense.weight = torch.nn.Parameter(torch.randn(4, HEADS * 2, 10).double())
    dense.mvs2s = torch.nn.Linear(2 * HEADS * 2, 3).double()
    mv, s = multivectors(HEADS * 2), torch.randn(TOKENS, HEADS * 2).double()
    expected_mv, expected_s = dense(mv * scale.repeat_interleave(2)[:, None], s * scale.repeat_interleave(2))
    cut = zip(*(algebra.cut(head) for head in mv.chunk(HEADS, dim=1)), strict=True)
    parts, s_out = Matrices.of(dense, algebra).from_heads(scale)(
        (tuple(torch.cat(heads, dim=2) for heads in cut), s)
    )
    torch.testing.assert_close(algebra.join(parts), expected_mv)
    torch.testing.assert_close(s_out, expected_s)


def test_geometric_products(algebra: Algebra) -> None:
    left, right = multivectors().requires_grad_(), multivectors().requires_grad_()
    factors = [torch.cat(pair, dim=2) for pair in zip(algebra.cut(left), algebra.cut(right), strict=True)]
    product = algebra.join(geometric_products(factors, algebra.terms))
    expected = lgatr.primitives.geometric_product(left, right, config=PRIMITIVES)
    torch.testing.assert_close(product, expected)
    factor = multivectors()
    ours, theirs = (
        torch.autograd.grad((value * factor).sum(), (left, right)) for value in (product, expected)
    )
    torch.testing.assert_close(ours, theirs)
    assert len(algebra.terms) == 256


def test_maps_of_other_groups_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="do not mix each component with one other"):
        Algebra(lgatr, lgatr.PrimitivesConfig(subgroup=False))


def test_maps_that_treat_pairs_differently_are_refused() -> None:
    """Negative control: one pair of bivectors' components is mapped to twice what the others are."""

    def other_linear(x: Tensor, weights: Tensor, *, config: Any) -> Tensor:
        factors = torch.ones(16)
        factors[[6, 9]] = 2.0
        return lgatr.primitives.equi_linear(x, weights, config=config) * factors

    functions = {name: getattr(lgatr.primitives, name) for name in ("inner_product", "geometric_product")}
    package: Any = SimpleNamespace(primitives=SimpleNamespace(**functions, equi_linear=other_linear))
    with pytest.raises(IncompatibleError, match="pairs of the same grades are not mapped alike"):
        Algebra(package, PRIMITIVES)
