"""Layers with a gate in place of the residual sum: GTrXL's (1910.06764), which SPANet and EveNet use."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import MultiHeadAttention
from hepfm.nn.dropout import Dropout
from hepfm.nn.linear import Linear
from hepfm.nn.packing import Packing

_BIAS = 2.0
"""Start of what is taken from the update gate: layers begin near the identity (1910.06764)."""


class Gate(nn.Module):
    """The gate of a GRU between what a layer makes of its input and the input itself.

    With update u and input x: ``r = s(W_r u + U_r x)``, ``z = s(W_z u + U_z x - b)``,
    ``h = tanh(W_g u + U_g (r x))`` and ``(1 - z) x + z h``. The three W are one matrix, U_r and U_z another.

    Parameters
    ----------
    width
        D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.update = Linear(width, 3 * width)
        self.kept = Linear(width, 2 * width, bias=False)
        self.reset = Linear(width, width, bias=False)
        self.bias_D = nn.Parameter(torch.full((width,), _BIAS))

    def forward(self, update: Tensor, x: Tensor) -> Tensor:
        """Return what takes the place of the input, (..., D)."""
        update_r, update_z, update_g = self.update(update).chunk(3, dim=-1)
        kept_r, kept_z = self.kept(x).chunk(2, dim=-1)
        r = torch.sigmoid(update_r + kept_r)
        z = torch.sigmoid(update_z + kept_z - self.bias_D)
        h = torch.tanh(update_g + self.reset(r * x))
        return torch.lerp(x.to(h.dtype), h, z.to(h.dtype))


class GatedLayer(nn.Module):
    """LayerNorm, Linear, GELU, Linear, GELU; then the gate, if there is one.

    Parameters
    ----------
    inputs, outputs
        Sizes; where they differ, a linear layer brings the input to that of the output before the gate.
    ratio
        Hidden size over `inputs`.
    dropout
        Rate after both activations.
    gate
        Whether there is a gate; without one the input is not added.
    """

    def __init__(
        self, inputs: int, outputs: int, *, ratio: int = 2, dropout: float = 0.0, gate: bool = True
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.expand = Linear(inputs, ratio * inputs)
        self.contract = Linear(ratio * inputs, outputs)
        self.dropout = Dropout(dropout)
        self.gate = Gate(outputs) if gate else None
        self.skip = Linear(inputs, outputs) if gate and inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed tokens, (..., outputs)."""
        hidden = self.dropout(F.gelu(self.expand(self.norm(x))))
        out = self.dropout(F.gelu(self.contract(hidden)))
        if self.gate is None:
            return out
        gated: Tensor = self.gate(out, x if self.skip is None else self.skip(x))
        return gated


class GatedBlock(nn.Module):
    """LayerNorm and attention with a gate, then a `GatedLayer`.

    Parameters
    ----------
    width, num_heads, dropout
        D, H, rate on attention weights and activations.
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout)
        self.gate = Gate(width)
        self.feedforward = GatedLayer(width, width, dropout=dropout)

    def packed(self, x_TD: Tensor, packing: Packing, bias: Tensor) -> Tensor:
        """Return packed tokens after the block, (T, D); `bias` is added to the attention logits."""
        gathered_TD = self.attention.packed(self.norm(x_TD), packing, bias)
        out_TD: Tensor = self.feedforward(self.gate(gathered_TD, x_TD))
        return out_TD


class GatedEmbedding(nn.Sequential):
    """Numbers of a row as a token: an affine layer, then gated layers whose sizes double up to the width.

    EveNet's embedding of an event's globals (2601.17126, evenet-core: from 16 on), behind a layer that starts
    as the identity and takes what a change of the numbers' standardisation would change.

    Parameters
    ----------
    inputs, width
        Number of numbers, and D.
    first
        Size of the first gated layer.
    dropout
        Rate after activations.
    """

    def __init__(self, inputs: int, width: int, *, first: int = 16, dropout: float = 0.0) -> None:
        sizes = [inputs, min(first, width)]
        while 2 * sizes[-1] <= width:
            sizes.append(2 * sizes[-1])
        sizes.append(width)
        affine = nn.Linear(inputs, inputs)
        nn.init.eye_(affine.weight)
        nn.init.zeros_(affine.bias)
        super().__init__(affine, *(GatedLayer(a, b, dropout=dropout) for a, b in pairwise(sizes)))
