"""Transformer blocks that differ in where they normalise: before, after, or on both sides.

All take padded tokens with a bias on the attention logits, and new tokens of a causal network with the keys
and values of those before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import KeyValueCache, MultiHeadAttention
from hepfm.nn.dropout import Dropout
from hepfm.nn.feedforward import FeedForward
from hepfm.nn.linear import Linear

Attend = Callable[[Tensor], Tensor]
"""Attention of tokens, (B, N, D) to (B, N, D)."""


class Block(nn.Module):
    """Attention and a feed-forward part."""

    attention: MultiHeadAttention

    @abstractmethod
    def apply_to(self, x_BND: Tensor, attend: Attend) -> Tensor:
        """Return the tokens after the block, (B, N, D)."""

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the tokens after the block, (B, N, D); `bias` is added to the attention logits."""
        return self.apply_to(x_BND, lambda tokens: self.attention(tokens, bias))

    def extend(self, x_BMD: Tensor, cache: KeyValueCache) -> Tensor:
        """Return M new tokens after the block, (B, M, D); they attend to those before and to each other."""
        return self.apply_to(x_BMD, lambda tokens: self.attention.extend(tokens, cache))


class PreNormBlock(Block):
    """LayerNorm and attention, then LayerNorm and feed-forward, each added to the tokens (2002.04745).

    Parameters
    ----------
    width, num_heads, ratio, dropout
        D, H, hidden size of the feed-forward part over D, rate everywhere.
    layer_scale
        Start of a learned factor per channel of both branches (2103.17239); None for no factor.
    """

    def __init__(
        self, width: int, *, num_heads: int, ratio: int, dropout: float, layer_scale: float | None = None
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout)
        self.feedforward_norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, ratio=ratio, dropout=dropout)
        self.dropout = Dropout(dropout)
        self.scale_2D = None if layer_scale is None else nn.Parameter(torch.full((2, width), layer_scale))

    def apply_to(self, x_BND: Tensor, attend: Attend) -> Tensor:
        """Return the tokens after the block, (B, N, D)."""
        x_BND = self.dropout.add(self._scaled(attend(self.attention_norm(x_BND)), 0), x_BND)
        return self.dropout.add(self._scaled(self.feedforward(self.feedforward_norm(x_BND)), 1), x_BND)

    def _scaled(self, x: Tensor, branch: int) -> Tensor:
        return x if self.scale_2D is None else x * self.scale_2D[branch]


class PostNormBlock(Block):
    """Attention added to the tokens, LayerNorm, feed-forward with ReLU added, LayerNorm (1706.03762).

    The block of OmniJet-alpha's backbone (2403.05618): query, key and value have no biases.

    Parameters
    ----------
    width, num_heads, ratio, dropout
        D, H, hidden size of the feed-forward part over D, rate on the attention weights and both branches.
    """

    def __init__(self, width: int, *, num_heads: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout, in_bias=False)
        self.attention_norm = nn.LayerNorm(width)
        self.expand = Linear(width, ratio * width)
        self.contract = Linear(ratio * width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def apply_to(self, x_BND: Tensor, attend: Attend) -> Tensor:
        """Return the tokens after the block, (B, N, D)."""
        x_BND = self.attention_norm(self.dropout.add(attend(x_BND), x_BND))
        transformed = self.contract(F.relu(self.expand(x_BND)))
        out_BND: Tensor = self.feedforward_norm(self.dropout.add(transformed, x_BND))
        return out_BND


class SandwichBlock(Block):
    """LayerNorm on both sides of the attention, and a feed-forward part with SiLU and no expansion.

    The NormFormer block of OmniJet-alpha's tokenizer (2403.05618, public code). It starts as the identity
    plus a constant: the first norm's scale and the last linear layer are zero.

    Parameters
    ----------
    width, num_heads, dropout
        D, H, rate on the attention weights (0.1 there, fixed) and within the feed-forward part.
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout)
        self.attention_post_norm = nn.LayerNorm(width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.expand = Linear(width, width)
        self.dropout = Dropout(dropout)
        self.contract = Linear(width, width)
        nn.init.zeros_(self.attention_norm.weight)
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)

    def apply_to(self, x_BND: Tensor, attend: Attend) -> Tensor:
        """Return the tokens after the block, (B, N, D)."""
        x_BND = self.attention_post_norm(attend(self.attention_norm(x_BND))) + x_BND
        hidden = self.dropout(F.silu(self.expand(self.feedforward_norm(x_BND))))
        out_BND: Tensor = x_BND + self.contract(hidden)
        return out_BND
