"""The networks of package ``lgatr`` on packed rows: its layers and weights, with our attention between them.

The package's networks take rows of one length. Here all but the attention works on the packed layout
(`hepfm.nn.packing`), and query, key and value are made in one contiguous tensor: in the order in which the
package leaves their dimensions, torch has no fast attention for them on a CPU. The numbers are those of the
package's own ``forward``; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.nn.attention import attention
from hepfm.nn.dropout import Dropout
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
        return self.packing.pack(gathered_BNC).unflatten(-1, (heads, -1))


def run_lgatr(net: Any, state: State, attend: PackedAttention, metric_16: Tensor) -> State:
    """Return multivectors and scalars behind a ``lgatr.LGATr``.

    Parameters
    ----------
    net
        The package's network.
    state
        Multivectors (T, C, 16) and scalars (T, S) of packed tokens.
    attend
        The attention.
    metric_16
        Signs of the components in the inner product of multivectors.
    """
    mv, s = net.linear_in(state[0], scalars=state[1])
    for block in net.blocks:
        mv, s = _added((mv, s), _lgatr_attention(block.attention, block.norm1(mv, s), attend, metric_16))
        mv, s = _added((mv, s), block.mlp(*block.norm2(mv, s)))
    out: State = net.linear_out(mv, scalars=s)
    return out


def _lgatr_attention(layer: Any, state: State, attend: PackedAttention, metric_16: Tensor) -> State:
    project, config = layer.qkv_module, layer.qkv_module.config
    mv_TC16, s_TS = project.in_linear(*state)
    parts = (3, -1, config.num_heads)
    mv_T3HC16 = mv_TC16.unflatten(1, parts).transpose(2, 3)
    s_T3HS = s_TS.unflatten(1, parts).transpose(2, 3)
    mv_T3HC16, s_T3HS = project.norm_qkv(mv_T3HC16, s_T3HS)
    query, rest = mv_T3HC16.split((1, 2), dim=1)
    mv_T3HC16 = torch.cat((query * metric_16, rest), dim=1)
    gathered_THK = attend(torch.cat((mv_T3HC16.flatten(3), s_T3HS), dim=-1))
    if layer.use_head_scale:
        gathered_THK = gathered_THK * layer.head_scale[:, None]
    mv_THK, s_THS = gathered_THK.split((16 * config.hidden_mv_channels, config.hidden_s_channels), dim=-1)
    out = layer.out_linear(mv_THK.unflatten(-1, (-1, 16)).flatten(1, 2), scalars=s_THS.flatten(1))
    return _dropped(layer.dropout, out)


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
    v, s = net.linear_in(*state)
    for block in net.blocks:
        v, s = _added((v, s), _slim_attention(block.attention, block.norm1(v, s), attend))
        v, s = _added((v, s), block.mlp(*block.norm2(v, s)))
    out: State = net.linear_out(v, s)
    return out


def _slim_attention(layer: Any, state: State, attend: PackedAttention) -> State:
    channels, heads = layer.hidden_v_channels, layer.num_heads
    v_T4C, s_TS = layer.linear_in(*state)
    v_T3H4C = v_T4C.unflatten(-1, (3, channels, heads)).permute(0, 2, 4, 1, 3)
    s_T3HS = s_TS.unflatten(-1, (3, -1, heads)).transpose(2, 3)
    v_T3H4C, s_T3HS = layer.norm(v_T3H4C, s_T3HS)
    query, rest = v_T3H4C.split((1, 2), dim=1)
    v_T3H4C = torch.cat((query * layer.metric[:, None], rest), dim=1)
    gathered_THK = attend(torch.cat((v_T3H4C.flatten(3), s_T3HS), dim=-1))
    v_THK, s_THS = gathered_THK.split((4 * channels, layer.hidden_s_channels), dim=-1)
    v_T4HC = v_THK.unflatten(-1, (4, channels)).transpose(1, 2)
    return _dropped(layer.dropout, layer.linear_out(v_T4HC.flatten(2), s_THS.flatten(1)))


def _dropped(dropout: nn.Module | None, state: State) -> State:
    return state if dropout is None else dropout(*state)


def _added(state: State, change: State) -> State:
    return state[0] + change[0], state[1] + change[1]
