"""The network ``lgatr.LGATrSlim`` on packed rows, and the attention of both networks of package ``lgatr``.

The package's networks take rows of one length. Here all but the attention works on the packed layout
(`hepfm.nn.packing`). Vectors have their components first, so that linear layers and gates work on whole
matrices, and norms write query, key and value as attention wants them. Weights are the package's, and so are
the numbers; tests compare them with its own ``forward``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.nn.attention import attention
from hepfm.nn.dropout import Dropout
from hepfm.nn.kernels.gated_vectors import gated_vectors
from hepfm.nn.kernels.invariant_norm import Invariants, normalised, normalised_heads
from hepfm.nn.linear import linear
from hepfm.nn.packing import Packing

State = tuple[Tensor, Tensor]
"""Vectors (4, T, C) and scalars (T, S) of packed tokens."""

METRIC = (1.0, -1.0, -1.0, -1.0)
GATE_METRIC = (0.5, -0.5, -0.5, -0.5)
"""The package halves the products that gate vectors."""


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


def run_slim(net: Any, state: State, attend: PackedAttention) -> State:
    """Return vectors and scalars behind a ``lgatr.LGATrSlim``.

    Parameters
    ----------
    net
        The package's network.
    state
        Vectors (4, T, C) and scalars (T, S) of packed tokens.
    attend
        The attention.
    """
    v, s = _linear(net.linear_in, state)
    for block in net.blocks:
        v, s = _added((v, s), _attention(block.attention, _norm(block.norm1, (v, s)), attend))
        v, s = _added((v, s), _mlp(block.mlp, _norm(block.norm2, (v, s))))
    return _linear(net.linear_out, (v, s))


def _linear(layer: Any, state: State) -> State:
    scalars = layer.linear_s
    return linear(state[0], layer.weight_v), linear(state[1], scalars.weight, scalars.bias)


def _attention(layer: Any, state: State, attend: PackedAttention) -> State:
    channels, heads, first = layer.hidden_v_channels, layer.num_heads, layer.linear_in
    # Query, key and value come out by heads; in the package, heads come last.
    bias = first.linear_s.bias
    v_4TX = linear(state[0], _by_heads(first.weight_v, heads))
    s_TX = linear(
        state[1], _by_heads(first.linear_s.weight, heads), None if bias is None else _by_heads(bias, heads)
    )
    v_4T3HC, s_T3HS = torch.unflatten(v_4TX, 2, (3, heads, -1)), torch.unflatten(s_TX, 1, (3, heads, -1))
    gathered_THK = attend(normalised_heads((v_4T3HC,), s_T3HS, _invariants(layer.norm, v_4T3HC, s_T3HS)))
    v_THK, s_THS = torch.split(gathered_THK, [4 * channels, s_T3HS.shape[3]], dim=2)
    v_4THC = torch.unflatten(v_THK, 2, (4, channels)).permute(2, 0, 1, 3)
    return _dropped(layer.dropout, _linear(layer.linear_out, (v_4THC.flatten(2), s_THS.flatten(1))))


def _by_heads(x: Tensor, heads: int) -> Tensor:
    return torch.unflatten(x, 0, (3, -1, heads)).transpose(1, 2).flatten(0, 2)


def _mlp(mlp: Any, state: State) -> State:
    for layer in mlp.layers:
        if hasattr(layer, "nonlinearity_v"):
            state = _gated(layer, state)
        else:
            state = _linear(layer, state) if hasattr(layer, "weight_v") else _dropped(layer, state)
    return state


def _gated(layer: Any, state: State) -> State:
    v_4TX, s_TS = _linear(layer.linear, state)
    v_4TC = gated_vectors(v_4TX, GATE_METRIC, layer.nonlinearity_v)
    s_TS, gate_TS = s_TS.chunk(2, dim=-1)
    return v_4TC, layer.nonlinearity(gate_TS) * s_TS


def _invariants(norm: Any, v: Tensor, s: Tensor) -> Invariants:
    return Invariants((METRIC,), (False,), False, v.shape[-1] + s.shape[-1], norm.epsilon, False, True)


def _norm(layer: Any, state: State) -> State:
    """Return what a layer ``SlimRMSNorm`` makes of a state."""
    (v_4TC,), s_TS = normalised((state[0],), state[1], _invariants(layer, *state))
    return (v_4TC * layer.weight_v, s_TS * layer.weight_s) if layer.elementwise_affine else (v_4TC, s_TS)


def _dropped(dropout: nn.Module | None, state: State) -> State:
    if dropout is None:
        return state
    v_T4C, s_TS = dropout(state[0].transpose(0, 1), state[1])
    return v_T4C.transpose(0, 1), s_TS


def _added(state: State, change: State) -> State:
    return state[0] + change[0], state[1] + change[1]
