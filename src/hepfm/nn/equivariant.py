"""The networks of package ``lgatr`` on packed rows: its layers' weights, norms and products, our matrix
products and attention.

The package's networks take rows of one length. Here all but the attention works on the packed layout
(`hepfm.nn.packing`). A linear layer of multivectors and scalars is one matrix, made of its weights and the
package's basis of equivariant maps. Query, key and value are made in one contiguous tensor: in the order in
which the package leaves their dimensions, torch has no fast attention for them on a CPU. The numbers are
those of the package's own ``forward``; tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import attention
from hepfm.nn.dropout import Dropout
from hepfm.nn.linear import linear
from hepfm.nn.packing import Packing

State = tuple[Tensor, Tensor]
"""Multivectors (T, C, 16), or vectors (T, 4, C), and scalars (T, S)."""


@dataclass(frozen=True)
class PackedAttention:
    """Attention on the packed layout.

    Attributes
    ----------
    packing
        Where the T tokens stand in the padded layout.
    bias
        Added to the logits; broadcasts to (B, H, N, N).
    """

    packing: Packing
    bias: Tensor
    _dropout: Dropout = field(default_factory=lambda: Dropout(0.0))

    def __call__(self, qkv_T3HK: Tensor) -> Tensor:
        """Return what each token gathers, (T, H, K)."""
        heads = qkv_T3HK.shape[2]
        qkv_3BHNK = self.packing.heads(qkv_T3HK.flatten(1), parts=3, heads=heads)
        gathered_BNC = attention(qkv_3BHNK, self.bias, self._dropout).transpose(1, 2).flatten(2)
        gathered_TC = self.packing.pack(gathered_BNC)
        return gathered_TC.view(gathered_TC.shape[0], heads, -1)


@dataclass(frozen=True)
class Algebra:
    """What the layers of multivectors take from the package.

    Attributes
    ----------
    metric_16
        Signs of the components in the inner product.
    basis_L1616
        The equivariant linear maps of a multivector.
    """

    metric_16: Tensor
    basis_L1616: Tensor


def run_lgatr(net: Any, state: State, attend: PackedAttention, algebra: Algebra) -> State:
    """Return multivectors and scalars behind a ``lgatr.LGATr``; no scalars where it returns none.

    Parameters
    ----------
    net
        The package's network.
    state
        Multivectors (T, C, 16) and scalars (T, S) of packed tokens.
    attend
        The attention.
    algebra
        The package's constants.
    """
    mv, s = _equilinear(net.linear_in, state, algebra)
    for block in net.blocks:
        mv, s = _added((mv, s), _lgatr_attention(block.attention, block.norm1(mv, s), attend, algebra))
        mv, s = _added((mv, s), _lgatr_mlp(block.mlp, block.norm2(mv, s), algebra))
    return _equilinear(net.linear_out, (mv, s), algebra)


def _equilinear(layer: Any, state: State, algebra: Algebra) -> State:
    """Return what a ``lgatr`` layer ``EquiLinear`` makes of a state, by one matrix product."""
    mv_TC16, s_TS = state
    channels_out, channels_in = layer.weight.shape[:2]
    maps = layer.weight @ algebra.basis_L1616.flatten(1)
    matrix = maps.view(channels_out, channels_in, 16, 16).transpose(1, 2).flatten(2).flatten(0, 1)
    matrix = torch.cat((matrix, _to_ends(layer.s2mvs.weight)), dim=1)
    offset = None if layer.s2mvs.bias is None else _to_ends(layer.s2mvs.bias[:, None])[:, 0]
    scalars_out = 0
    if layer.mvs2s is not None:
        scalars_out = layer.mvs2s.out_features
        from_mv = _to_ends(layer.mvs2s.weight.T).T
        matrix = torch.cat((matrix, torch.cat((from_mv, layer.s2s.weight), dim=1)))
        if offset is not None:
            offset = torch.cat((offset, layer.mvs2s.bias))
    out = linear(torch.cat((mv_TC16.flatten(1), s_TS), dim=1), matrix, offset)
    mv, s = out.split((16 * channels_out, scalars_out), dim=1)  # type: ignore[no-untyped-call]
    return mv.view(mv.shape[0], channels_out, 16), s


def _to_ends(pairs: Tensor) -> Tensor:
    """Return rows of scalar and pseudoscalar parts as rows of multivectors, (2 C, ...) to (16 C, ...)."""
    first, last = pairs.view(-1, 2, 1, pairs.shape[1]).unbind(1)
    return torch.cat((F.pad(first, (0, 0, 0, 14)), last), dim=1).flatten(0, 1)


def _lgatr_attention(layer: Any, state: State, attend: PackedAttention, algebra: Algebra) -> State:
    config = layer.qkv_module.config
    mv_TC16, s_TS = _equilinear(layer.qkv_module.in_linear, state, algebra)
    tokens, heads = mv_TC16.shape[0], config.num_heads
    mv_T3HC16 = mv_TC16.view(tokens, 3, -1, heads, 16).transpose(2, 3)
    s_T3HS = s_TS.view(tokens, 3, -1, heads).transpose(2, 3)
    mv_T3HC16, s_T3HS = layer.qkv_module.norm_qkv(mv_T3HC16, s_T3HS)
    mv_T3HC16 = mv_T3HC16 * _in_query(algebra.metric_16[None])
    gathered_THK = attend(torch.cat((*mv_T3HC16.unbind(3), s_T3HS), dim=-1))
    if layer.use_head_scale:
        gathered_THK = gathered_THK * layer.head_scale[:, None]
    mv_THK, s_THS = _split(gathered_THK, 16 * config.hidden_mv_channels)
    mv_TC16 = mv_THK.reshape(tokens, -1, 16)
    return _dropped(layer.dropout, _equilinear(layer.out_linear, (mv_TC16, s_THS.flatten(1)), algebra))


def _lgatr_mlp(mlp: Any, state: State, algebra: Algebra) -> State:
    product, *others = mlp.layers
    state = _bilinear(product, state, algebra)
    for layer in others:
        # Of the layers behind the product only the linear ones have weights.
        state = _equilinear(layer, state, algebra) if hasattr(layer, "weight") else layer(*state)
    return state


def _bilinear(layer: Any, state: State, algebra: Algebra) -> State:
    from lgatr.primitives import geometric_product

    left, _ = _equilinear(layer.linear_left, state, algebra)
    right, _ = _equilinear(layer.linear_right, state, algebra)
    product = geometric_product(left, right, config=layer.primitives)
    out: State = layer.norm(*_equilinear(layer.linear_out, (product, state[1]), algebra))
    return out


def run_slim(net: Any, state: State, attend: PackedAttention) -> State:
    """Return vectors and scalars behind a ``lgatr.LGATrSlim``.

    Parameters
    ----------
    net
        The package's network.
    state
        Vectors (T, 4, C) and scalars (T, S) of packed tokens.
    attend
        The attention.
    """
    v, s = _slim_linear(net.linear_in, state)
    for block in net.blocks:
        v, s = _added((v, s), _slim_attention(block.attention, block.norm1(v, s), attend))
        v, s = _added((v, s), _slim_mlp(block.mlp, block.norm2(v, s)))
    return _slim_linear(net.linear_out, (v, s))


def _slim_linear(layer: Any, state: State) -> State:
    scalars = layer.linear_s
    return linear(state[0], layer.weight_v), linear(state[1], scalars.weight, scalars.bias)


def _slim_attention(layer: Any, state: State, attend: PackedAttention) -> State:
    channels, heads = layer.hidden_v_channels, layer.num_heads
    v_T4C, s_TS = _slim_linear(layer.linear_in, state)
    tokens = v_T4C.shape[0]
    v_T3H4C = v_T4C.view(tokens, 4, 3, channels, heads).permute(0, 2, 4, 1, 3)
    s_T3HS = s_TS.view(tokens, 3, -1, heads).transpose(2, 3)
    v_T3H4C, s_T3HS = layer.norm(v_T3H4C, s_T3HS)
    v_T3H4C = v_T3H4C * _in_query(layer.metric[:, None])
    # Not flattened first: that would be one more copy.
    gathered_THK = attend(torch.cat((*v_T3H4C.unbind(3), s_T3HS), dim=-1))
    v_THK, s_THS = _split(gathered_THK, 4 * channels)
    v_T4HC = v_THK.reshape(tokens, heads, 4, channels).transpose(1, 2)
    return _dropped(layer.dropout, _slim_linear(layer.linear_out, (v_T4HC.flatten(2), s_THS.flatten(1))))


def _slim_mlp(mlp: Any, state: State) -> State:
    for layer in mlp.layers:
        if hasattr(layer, "nonlinearity_v"):
            state = _slim_gated(layer, state)
        else:
            state = _slim_linear(layer, state) if hasattr(layer, "weight_v") else layer(*state)
    return state


def _slim_gated(layer: Any, state: State) -> State:
    v_T4C, s_TS = _slim_linear(layer.linear, state)
    v_T4C, first_T4C, second_T4C = v_T4C.chunk(3, dim=-1)
    energy, px, py, pz = (first_T4C * second_T4C).unbind(1)
    # Half the inner product; written out, its gradient is one pass over the vectors.
    gate_TC = 0.5 * (energy - px - py - pz)
    s_TS, gate_TS = s_TS.chunk(2, dim=-1)
    return layer.nonlinearity_v(gate_TC)[:, None] * v_T4C, layer.nonlinearity(gate_TS) * s_TS


def _in_query(metric: Tensor) -> Tensor:
    """Return the factors of query, key and value, of which only the query's are a metric."""
    ones = torch.ones_like(metric)
    return torch.stack((metric, ones, ones))[:, None]


def _split(x: Tensor, size: int) -> State:
    return x[..., :size], x[..., size:]


def _dropped(dropout: nn.Module | None, state: State) -> State:
    return state if dropout is None else dropout(*state)


def _added(state: State, change: State) -> State:
    return state[0] + change[0], state[1] + change[1]
