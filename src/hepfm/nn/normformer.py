"""The Particle Transformer's blocks: NormFormer-style attention, and attention of a class token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.attention import MultiHeadAttention
from hepfm.nn.dropout import Dropout
from hepfm.nn.feedforward import FeedForward


class NormFormerBlock(nn.Module):
    """Pre-norm block with a norm after attention and within the feed-forward part, and learned scales.

    NormFormer (2110.09456) as used in 2202.03772. As in its public implementation the per-head scale acts on
    the output of the attention's last linear layer, and the residual scale on the skip of the feed-forward part.

    Parameters
    ----------
    width
        D.
    num_heads
        H.
    ratio
        Hidden size of the feed-forward part over D.
    dropout
        Rate on attention weights, activations and both residual branches.
    """

    def __init__(self, width: int, *, num_heads: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout)
        self.attention_post_norm = nn.LayerNorm(width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, ratio=ratio, dropout=dropout, norm=True)
        self.dropout = Dropout(dropout)
        self.head_scale = nn.Parameter(torch.ones(num_heads))
        self.residual_scale = nn.Parameter(torch.ones(width))

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the tokens after attention, with `bias` on its logits, and feed-forward; (B, N, D)."""
        return self._finish(x_BND, self.attention(self.attention_norm(x_BND), bias))

    def _finish(self, x_BND: Tensor, attended_BND: Tensor) -> Tensor:
        scaled = attended_BND.unflatten(-1, (len(self.head_scale), -1)) * self.head_scale[:, None]
        x_BND = x_BND + self.dropout(self.attention_post_norm(scaled.flatten(-2)))
        return self.residual_scale * x_BND + self.dropout(self.feedforward(self.feedforward_norm(x_BND)))


class ClassAttentionBlock(NormFormerBlock):
    """The same block for a class token that attends to itself and to all constituents (CaiT, 2103.17239)."""

    def forward(self, token_B1D: Tensor, x_BND: Tensor, bias: Tensor) -> Tensor:  # type: ignore[override]
        """Return the class token, (B, 1, D).

        Parameters
        ----------
        token_B1D
            Class token; as in the public implementation the query is not normalised, keys and values are.
        x_BND
            Constituents, which stay as they are.
        bias
            Broadcasts to (B, H, 1, 1 + N): the token itself first.
        """
        context = self.attention_norm(torch.cat((token_B1D, x_BND), dim=1))
        return self._finish(token_B1D, self.attention.cross(token_B1D, context, bias))
