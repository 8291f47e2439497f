"""The network ``lgatr.LGATr`` on packed rows: the package's weights, in matrix products of pairs of components.

With components first and duals side by side (`hepfm.nn.dual_pairs`), a linear layer is three matrix products:
of the scalar and the pseudoscalar with the scalars of the token, of four pairs of a vector's and a trivector's
component, and of three pairs of bivectors' components. That is an eighth of the multiplications of one matrix
of 16 by 16 components. The numbers are those of the package's own ``forward``; tests compare them.
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
    """The weights of layers ``EquiLinear`` as matrices; I (O) are 2 C channels of pairs that go in (come out).

    Attributes
    ----------
    parts_3OI
        Of the parts of multivectors.
    from_s_OS, offset_O
        What scalars, and 1, give to the first part.
    to_s_QI, s_to_s_QS, offset_Q
        What the first part, scalars, and 1 give to scalars.
    """

    parts_3OI: Tensor
    from_s_OS: Tensor
    to_s_QI: Tensor
    s_to_s_QS: Tensor
    offset_O: Tensor | None
    offset_Q: Tensor | None

    @classmethod
    def of(cls, layer: Any, algebra: Algebra) -> Matrices:
        """Return those of a layer of the package."""
        maps = (layer.weight @ algebra.maps_L3II.flatten(1)).unflatten(2, (3, 2, 2))
        parts_3OI = maps.permute(2, 3, 0, 4, 1).flatten(3).flatten(1, 2)
        s2mvs, mvs2s = layer.s2mvs, layer.mvs2s
        offset_O = None if s2mvs.bias is None else _halves(s2mvs.bias)
        if mvs2s is None:
            none = s2mvs.weight.new_zeros(0)
            to_s, s_to_s = none.view(0, parts_3OI.shape[2]), none.view(0, s2mvs.in_features)
            return cls(
                parts_3OI, _halves(s2mvs.weight), to_s, s_to_s, offset_O, None if offset_O is None else none
            )
        to_s = _halves(mvs2s.weight.T).T
        return cls(parts_3OI, _halves(s2mvs.weight), to_s, layer.s2s.weight, offset_O, mvs2s.bias)

    def to_heads(self, heads: int) -> Matrices:
        """Let query, key and value come out by heads: channels are (3, H, 2 C), and scalars (3, H, S)."""
        parts, from_s = self.parts_3OI, self.from_s_OS

        def by_heads(x: Tensor) -> Tensor:
            return x.unflatten(0, (2, 3, -1, heads)).permute(1, 3, 0, 2, *range(4, x.dim() + 3)).flatten(0, 3)

        def scalars(x: Tensor) -> Tensor:
            return x.unflatten(0, (3, -1, heads)).transpose(1, 2).flatten(0, 2)

        offset_O = None if self.offset_O is None else by_heads(self.offset_O)
        offset_Q = None if self.offset_Q is None else scalars(self.offset_Q)
        parts = by_heads(parts.transpose(0, 1)).transpose(0, 1)
        return Matrices(
            parts, by_heads(from_s), scalars(self.to_s_QI), scalars(self.s_to_s_QS), offset_O, offset_Q
        )

    def from_heads(self, scale_H: Tensor) -> Matrices:
        """Let H heads of 2 C channels and of scalars go in, each with a factor."""
        heads = len(scale_H)

        def by_heads(x: Tensor) -> Tensor:
            x = x.unflatten(-1, (2, heads, -1)).transpose(-3, -2)
            return (x * scale_H[:, None, None]).flatten(-3)

        def scalars(x: Tensor) -> Tensor:
            return (x.unflatten(-1, (heads, -1)) * scale_H[:, None]).flatten(-2)

        return replace(
            self,
            parts_3OI=by_heads(self.parts_3OI),
            from_s_OS=scalars(self.from_s_OS),
            to_s_QI=by_heads(self.to_s_QI),
            s_to_s_QS=scalars(self.s_to_s_QS),
        )

    def beside(self, other: Matrices) -> Matrices:
        """Return both layers as one, without scalars that come out."""
        offset = None
        if self.offset_O is not None and other.offset_O is not None:
            offset = torch.cat((self.offset_O, other.offset_O))
        return replace(
            self,
            parts_3OI=torch.cat((self.parts_3OI, other.parts_3OI), dim=1),
            from_s_OS=torch.cat((self.from_s_OS, other.from_s_OS)),
            offset_O=offset,
        )

    def __call__(self, state: State) -> State:
        """Return what the layer makes of a state."""
        (first_1TI, *others), s_TS = state
        matrix = torch.cat((self.parts_3OI[0], self.from_s_OS), dim=1)
        offset = self.offset_O
        if len(self.to_s_QI):
            matrix = torch.cat((matrix, torch.cat((self.to_s_QI, self.s_to_s_QS), dim=1)))
            if self.offset_O is not None and self.offset_Q is not None:
                offset = torch.cat((self.offset_O, self.offset_Q))
        out = linear(torch.cat((first_1TI[0], s_TS), dim=1), matrix, offset)
        size = self.parts_3OI.shape[1]
        parts = (linear(part, matrix) for part, matrix in zip(others, self.parts_3OI[1:], strict=True))
        return (out[None, :, :size], *parts), out[:, size:]


def _halves(x: Tensor) -> Tensor:
    """Return rows of scalars, then of pseudoscalars, where the package has one of each in turn."""
    return x.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)


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
    mv = tuple(part.unflatten(2, (3, heads, channels)) for part in parts)
    s_T3HS = s_TS.unflatten(1, (3, heads, -1))
    s_T3HS = F.layer_norm(s_T3HS, s_T3HS.shape[-1:])
    gathered_THK = attend(
        normalised_heads(mv, s_T3HS, algebra.invariants(layer.qkv_module.norm_qkv, channels // 2))
    )
    mv_THK, s_THS = gathered_THK.split((8 * channels, s_T3HS.shape[-1]), dim=2)
    mv_8TI = mv_THK.unflatten(2, (8, channels)).permute(2, 0, 1, 3).flatten(2)
    scale_H = layer.head_scale if layer.use_head_scale else mv_8TI.new_ones(heads)
    out = Matrices.of(layer.out_linear, algebra).from_heads(scale_H)
    return _dropped(layer.dropout, out((mv_8TI.split(PAIRS), s_THS.flatten(1))), algebra)


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
