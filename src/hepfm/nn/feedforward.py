"""The feed-forward part of a transformer block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.dropout import Dropout
from hepfm.nn.linear import Linear


class FeedForward(nn.Module):
    """Linear, GELU, dropout, optionally LayerNorm, Linear.

    Parameters
    ----------
    width
        D.
    ratio
        Hidden size over D.
    dropout
        Rate after the activation.
    norm
        Normalise the hidden layer, as NormFormer does (2110.09456).
    """

    def __init__(self, width: int, *, ratio: int, dropout: float, norm: bool = False) -> None:
        super().__init__()
        self.expand = Linear(width, ratio * width)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(ratio * width) if norm else nn.Identity()
        self.contract = Linear(ratio * width, width)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return the transformed tokens, (B, N, D)."""
        hidden = self.norm(self.dropout(F.gelu(self.expand(x_BND))))
        out_BND: Tensor = self.contract(hidden)
        return out_BND
