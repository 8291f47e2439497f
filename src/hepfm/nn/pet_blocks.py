"""Blocks of the Point Edge Transformer: pre-norm attention, dynamic tanh in place of norms (2510.24066)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import MultiHeadAttention
from hepfm.nn.dropout import Dropout
from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.linear import Linear
from hepfm.nn.packing import Packing


class TanhFeedForward(nn.Module):
    """Linear, GELU, dynamic tanh, dropout, linear; for tokens of any layout (..., D).

    Parameters
    ----------
    inputs, hidden, outputs
        Sizes.
    offsets
        Whether the linear layers have offsets.
    dropout
        Rate before the last layer.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, offsets: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.expand = Linear(inputs, hidden, bias=offsets)
        self.norm = DynamicTanh(hidden)
        self.dropout = Dropout(dropout)
        self.contract = Linear(hidden, outputs, bias=offsets)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed tokens."""
        out: Tensor = self.contract(self.hidden(x))
        return out

    def hidden(self, x: Tensor) -> Tensor:
        """Return what the last linear layer reads."""
        out: Tensor = self.dropout(self.norm(F.gelu(self.expand(x))))
        return out


class PetBlock(nn.Module):
    """Dynamic tanh and attention without offsets, then dynamic tanh and feed-forward, both residual.

    Parameters
    ----------
    width
        D.
    num_heads
        H.
    ratio
        Hidden size of the feed-forward part over D.
    dropout
        Rate on attention weights and on hidden activations.
    """

    def __init__(self, width: int, *, num_heads: int, ratio: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = DynamicTanh(width)
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout, offsets=False)
        self.feedforward_norm = DynamicTanh(width)
        self.feedforward = TanhFeedForward(width, ratio * width, width, dropout=dropout)

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the tokens after the block, (B, N, D).

        Parameters
        ----------
        x_BND
            Tokens; those in padding must be finite, and are finite but arbitrary afterwards.
        bias
            Added to the attention logits, broadcasts to (B, H, N, N); `hepfm.nn.attention.key_bias` of a mask
            leaves padding out.
        """
        x_BND = x_BND + self.attention(self.attention_norm(x_BND), bias)
        return x_BND + self.feedforward(self.feedforward_norm(x_BND))

    def packed(self, x_TD: Tensor, packing: Packing, bias: Tensor) -> Tensor:
        """Return packed tokens after the block, (T, D); see `forward`."""
        x_TD = x_TD + self.attention.packed(self.attention_norm(x_TD), packing, bias)
        return x_TD + self.feedforward(self.feedforward_norm(x_TD))


@torch.no_grad()
def init_pet(module: nn.Module) -> None:
    """Set the linear layers below `module` as the public package does: Xavier-uniform, no offsets.

    Query, key and value count as one matrix.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
