"""The network ``lgatr.LGATr`` on packed rows, with linear layers as products of pairs of components.

With components first and duals side by side (`hepfm.nn.dual_pairs`), a linear layer is three matrix products:
of the scalar and the pseudoscalar with the scalars of the token, of four pairs of a vector's and a
trivector's component, and of three pairs of bivectors' components. That is an eighth of the multiplications
of one matrix of 16 by 16 components. Weights are the package's, and so are the numbers; tests compare them
with its own ``forward``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.dual_pairs import PAIRS, Algebra, Parts
from hepfm.nn.equivariant import PackedAttention
from hepfm.nn.kernels.geometric_product import geometric_products
from hepfm.nn.kernels.invariant_norm import normalised, normalised_heads
from hepfm.nn.kernels.switch import cpu_kernels_allowed
from hepfm.nn.linear import linear

State = tuple[Parts, Tensor]
"""Multivectors and scalars (T, S) of packed tokens."""


@dataclass(frozen=True)
class Matrices:
    """The weights of layers ``EquiLinear`` as matrices.

    I are 2 C channels of pairs that go in, O those that come out.

    Attributes
    ----------
    parts_3OI
        Of the parts of multivectors.
    from_s_OS, offset_O
        What scalars, and 1, give to the first part.
    to_s_QI, s_to_s_QS, offset_Q
        What the first part, scalars, and 1 give to scalars; Q may be 0.
    """

    parts_3OI: Tensor
    from_s_OS: Tensor
    to_s_QI: Tensor
    s_to_s_QS: Tensor
    offset_O: Tensor
    offset_Q: Tensor

    @classmethod
    def of(cls, layer: Any, algebra: Algebra) -> Matrices:
        """Return those of a layer of the package."""
        maps_CC322 = torch.unflatten(layer.weight @ algebra.maps_L3II.flatten(1), 2, (3, 2, 2))
        parts_3OI = maps_CC322.permute(2, 3, 0, 4, 1).flatten(3).flatten(1, 2)
        s2mvs, mvs2s, s2s = layer.s2mvs, layer.mvs2s, layer.s2s
        if mvs2s is None:
            to_s_QI, s_to_s_QS = parts_3OI[0, :0], s2mvs.weight[:0]
        else:
            to_s_QI, s_to_s_QS = _halves(mvs2s.weight.T).T, s2s.weight
        without = parts_3OI.new_zeros(parts_3OI.shape[1] + len(to_s_QI)).split_with_sizes(
            [parts_3OI.shape[1], len(to_s_QI)]
        )
        offset_O = without[0] if s2mvs.bias is None else _halves(s2mvs.bias)
        offset_Q = without[1] if mvs2s is None or mvs2s.bias is None else mvs2s.bias
        return cls(parts_3OI, _halves(s2mvs.weight), to_s_QI, s_to_s_QS, offset_O, offset_Q)

    def to_heads(self, heads: int) -> Matrices:
        """Let query, key and value come out by heads: (3, H, 2 C) channels and (3, H, S) scalars.

        In the package, heads come last.
        """

        def channels(x_OX: Tensor) -> Tensor:
            x_23CHX = torch.unflatten(x_OX, -2, (2, 3, -1, heads))
            return x_23CHX.transpose(-5, -4).movedim(-2, -4).flatten(-5, -2)

        def scalars(x_QX: Tensor) -> Tensor:
            return torch.unflatten(x_QX, 0, (3, -1, heads)).transpose(1, 2).flatten(0, 2)

        return Matrices(
            channels(self.parts_3OI),
            channels(self.from_s_OS),
            scalars(self.to_s_QI),
            scalars(self.s_to_s_QS),
            channels(self.offset_O[:, None])[:, 0],
            scalars(self.offset_Q[:, None])[:, 0],
        )

    def from_heads(self, scale_H: Tensor) -> Matrices:
        """Let H heads of 2 C channels and of scalars go in, each with a factor."""

        def channels(x_XI: Tensor) -> Tensor:
            x_X2HC = torch.unflatten(x_XI, -1, (2, len(scale_H), -1))
            return (x_X2HC * scale_H[:, None]).transpose(-3, -2).flatten(-3)

        def scalars(x_XS: Tensor) -> Tensor:
            return (torch.unflatten(x_XS, -1, (len(scale_H), -1)) * scale_H[:, None]).flatten(-2)

        return replace(
            self,
            parts_3OI=channels(self.parts_3OI),
            from_s_OS=scalars(self.from_s_OS),
            to_s_QI=channels(self.to_s_QI),
            s_to_s_QS=scalars(self.s_to_s_QS),
        )

    def beside(self, other: Matrices) -> Matrices:
        """Return both layers as one; neither has scalars that come out."""
        return replace(
            self,
            parts_3OI=torch.cat((self.parts_3OI, other.parts_3OI), dim=1),
            from_s_OS=torch.cat((self.from_s_OS, other.from_s_OS)),
            offset_O=torch.cat((self.offset_O, other.offset_O)),
        )

    def __call__(self, state: State) -> State:
        """Return what the layer makes of a state."""
        (first_1TI, *others), s_TS = state
        to_mv = torch.cat((self.parts_3OI[0], self.from_s_OS), dim=1)
        to_s = torch.cat((self.to_s_QI, self.s_to_s_QS), dim=1)
        offset = torch.cat((self.offset_O, self.offset_Q))
        out = linear(torch.cat((first_1TI[0], s_TS), dim=1), torch.cat((to_mv, to_s)), offset)
        out_TO, out_TQ = torch.split(out, [len(to_mv), len(to_s)], dim=1)
        parts = (linear(part, matrix) for part, matrix in zip(others, self.parts_3OI[1:], strict=True))
        return (out_TO[None], *parts), out_TQ


def _halves(x: Tensor) -> Tensor:
    """Return rows of scalars, then of pseudoscalars, where the package has one of each in turn."""
    return torch.unflatten(x, 0, (-1, 2)).transpose(0, 1).flatten(0, 1)


def run_lgatr(net: Any, state: tuple[Tensor, Tensor], attend: PackedAttention, algebra: Algebra) -> Parts:
    """Return the multivectors behind a ``lgatr.LGATr``.

    Parameters
    ----------
    net
        The package's network.
    state
        Multivectors (T, C, 16), as the package has them, and scalars (T, S) of packed tokens.
    attend
        The attention.
    algebra
        The package's constants.
    """
    mv, s = Matrices.of(net.linear_in, algebra)((algebra.cut(state[0]), state[1]))
    for block in net.blocks:
        change = _attention(block.attention, _norm(block.norm1, (mv, s), algebra), attend, algebra)
        mv, s = _added((mv, s), change)
        mv, s = _added((mv, s), _mlp(block.mlp, _norm(block.norm2, (mv, s), algebra), algebra))
    return Matrices.of(net.linear_out, algebra)((mv, s))[0]


def _attention(layer: Any, state: State, attend: PackedAttention, algebra: Algebra) -> State:
    config = layer.qkv_module.config
    heads, channels = config.num_heads, 2 * config.hidden_mv_channels
    parts, s_TS = Matrices.of(layer.qkv_module.in_linear, algebra).to_heads(heads)(state)
    mv = tuple(torch.unflatten(part, 2, (3, heads, channels)) for part in parts)
    s_T3HS = torch.unflatten(s_TS, 1, (3, heads, -1))
    s_T3HS = F.layer_norm(s_T3HS, s_T3HS.shape[-1:])
    gathered_THK = attend(
        normalised_heads(mv, s_T3HS, algebra.invariants(layer.qkv_module.norm_qkv, channels // 2))
    )
    mv_THK, s_THS = torch.split(gathered_THK, [8 * channels, s_T3HS.shape[-1]], dim=2)
    mv_8TI = torch.unflatten(mv_THK, 2, (8, channels)).permute(2, 0, 1, 3).flatten(2)
    scale_H = layer.head_scale if layer.use_head_scale else mv_8TI.new_ones(heads)
    out = Matrices.of(layer.out_linear, algebra).from_heads(scale_H)
    return _dropped(layer.dropout, out((torch.split(mv_8TI, list(PAIRS)), s_THS.flatten(1))), algebra)


def _mlp(mlp: Any, state: State, algebra: Algebra) -> State:
    product, *others = mlp.layers
    state = _bilinear(product, state, algebra)
    for layer in others:
        if hasattr(layer, "weight"):
            state = Matrices.of(layer, algebra)(state)
        elif hasattr(layer, "nonlinearity"):
            state = _gated(layer, state)
        else:
            state = _dropped(layer, state, algebra)
    return state


def _bilinear(layer: Any, state: State, algebra: Algebra) -> State:
    both = Matrices.of(layer.linear_left, algebra).beside(Matrices.of(layer.linear_right, algebra))
    product = _products(both(state)[0], algebra)
    return _norm(layer.norm, Matrices.of(layer.linear_out, algebra)((product, state[1])), algebra)


def _products(factors: Parts, algebra: Algebra) -> Parts:
    """Return geometric products of the first with the second half of channels."""
    if algebra.primitives.sparse_gp and cpu_kernels_allowed(factors[0]):
        return geometric_products(factors, algebra.terms)
    left, right = (
        algebra.join(half) for half in zip(*(part.chunk(2, dim=2) for part in factors), strict=True)
    )
    return algebra.cut(algebra.product(left, right, config=algebra.primitives))


def _gated(layer: Any, state: State) -> State:
    (first, *others), s_TS = state
    gates_TC1 = layer.nonlinearity(first[0, :, : first.shape[2] // 2, None])
    gates_TI = gates_TC1[..., 0].repeat(1, 2)
    return tuple(gates_TI * part for part in (first, *others)), layer.nonlinearity(s_TS)


def _norm(layer: Any, state: State, algebra: Algebra) -> State:
    """Return what a layer ``EquiLayerNorm`` makes of a state."""
    mv, s_TS = state
    mv, s_TS = normalised(
        mv, F.layer_norm(s_TS, s_TS.shape[-1:]), algebra.invariants(layer, mv[0].shape[2] // 2)
    )
    if layer.elementwise_affine:
        gains = algebra.arrange(layer.weight_mv[None, :, layer.grade_index])
        mv = tuple(part * gain for part, gain in zip(mv, gains, strict=True))
        s_TS = s_TS * layer.weight_s
    return mv, s_TS


def _dropped(dropout: nn.Module | None, state: State, algebra: Algebra) -> State:
    if dropout is None:
        return state
    mv, s = dropout(algebra.join(state[0]), state[1])
    return algebra.cut(mv), s


def _added(state: State, change: State) -> State:
    mv = tuple(part + other for part, other in zip(state[0], change[0], strict=True))
    return mv, state[1] + change[1]
