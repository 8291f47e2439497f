"""Multi-head attention on four-dimensional tensors with an explicit additive bias."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.dropout import Dropout


def masked_logit(dtype: torch.dtype) -> float:
    """Return the logit of a key that must get no weight: finite, so that a row without any key stays finite."""
    return torch.finfo(dtype).min / 4


def key_bias(mask_BN: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the attention bias of a key mask (True = real), shape (B, 1, 1, N)."""
    bias_BN = torch.zeros(mask_BN.shape, dtype=dtype, device=mask_BN.device)
    return bias_BN.masked_fill(~mask_BN, masked_logit(dtype))[:, None, None, :]


def causal_bias(length: int, *, prefix: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the bias by which a token sees itself and what stands before it, shape (1, 1, N, N).

    Parameters
    ----------
    length
        Number of tokens N.
    prefix
        The first `prefix` tokens see each other in both directions.
    """
    position = torch.arange(length, device=device)
    seen = (position[:, None] >= position[None, :]) | (position < prefix)[None, :]
    bias = torch.zeros(length, length, dtype=dtype, device=device).masked_fill(~seen, masked_logit(dtype))
    return bias[None, None]


def attention(q_BHMK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, bias: Tensor, dropout: Dropout) -> Tensor:
    """Return softmax(q k^T / sqrt(K) + bias) v, shape (B, H, M, K).

    Parameters
    ----------
    bias
        Added to the logits; broadcasts to (B, H, M, N). Use `masked_logit` for keys to leave out.
    dropout
        Applied to the attention weights.
    """
    if not dropout.training and not bias.requires_grad:
        return F.scaled_dot_product_attention(q_BHMK, k_BHNK, v_BHNK, attn_mask=bias)
    logits_BHMN = q_BHMK @ k_BHNK.transpose(-1, -2) * q_BHMK.shape[-1] ** -0.5 + bias
    return dropout(logits_BHMN.softmax(-1)) @ v_BHNK


class MultiHeadAttention(nn.Module):
    """Attention of queries to a context, with one matrix for query, key and value.

    Parameters
    ----------
    width
        D; a multiple of `num_heads`.
    num_heads
        H.
    dropout
        Rate on the attention weights.
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the attention of every token to all tokens, (B, N, D)."""
        q, k, v = (self._heads(part) for part in self.in_proj(x_BND).chunk(3, dim=-1))
        return self._merge(attention(q, k, v, bias, self.dropout))

    def cross(self, query_BMD: Tensor, context_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the attention of `query_BMD` to the tokens of `context_BND`, (B, M, D)."""
        width = query_BMD.shape[-1]
        weight, offset = self.in_proj.weight, self.in_proj.bias
        q = F.linear(query_BMD, weight[:width], offset[:width])
        k, v = F.linear(context_BND, weight[width:], offset[width:]).chunk(2, dim=-1)
        return self._merge(attention(self._heads(q), self._heads(k), self._heads(v), bias, self.dropout))

    def _heads(self, x_BND: Tensor) -> Tensor:
        return x_BND.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _merge(self, x_BHNK: Tensor) -> Tensor:
        return self.out_proj(x_BHNK.transpose(1, 2).flatten(2))
