"""Attention of a few tokens to the constituents of their row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.dropout import Dropout
from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.pet_blocks import TanhFeedForward


class CrossAttentionBlock(nn.Module):
    """Tokens gather from constituents, then a feed-forward part with dynamic tanh (2510.24066).

    Neither tokens nor constituents are normalised before attention, and tokens do not see each other, as in
    the public package.

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
        self.num_heads = num_heads
        self.in_proj = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)
        self.feedforward_norm = DynamicTanh(width)
        self.feedforward = TanhFeedForward(width, ratio * width, width, dropout=dropout)
        self.dropout = Dropout(dropout)

    def forward(self, tokens_BQD: Tensor, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the tokens after the block, (B, Q, D).

        Parameters
        ----------
        tokens_BQD
            Tokens.
        x_BND
            Constituents, which stay as they are.
        bias
            Added to the logits of the constituents, broadcasts to (B, H, Q, N); see `key_bias`.
        """
        tokens_BQD = tokens_BQD + self.out_proj(self._gather(tokens_BQD, x_BND, bias))
        return tokens_BQD + self.feedforward(tokens_BQD, self.feedforward_norm)

    def _gather(self, tokens_BQD: Tensor, x_BND: Tensor, bias: Tensor) -> Tensor:
        # Few queries: their product with the key matrix, and the value matrix after the weighted mean, take
        # the place of keys and values of all constituents.
        query, key, value = self.in_proj.weight.view(3, self.num_heads, -1, tokens_BQD.shape[-1])
        scale: float = query.shape[1] ** -0.5
        q_BHQK = torch.einsum("bqd,hkd->bhqk", tokens_BQD, query) * scale
        probe_BHQD = torch.einsum("bhqk,hkd->bhqd", q_BHQK, key)
        logits_BHQN = torch.einsum("bhqd,bnd->bhqn", probe_BHQD, x_BND) + bias
        weights_BHQN = self.dropout(logits_BHQN.softmax(-1))
        mean_BHQD = torch.einsum("bhqn,bnd->bhqd", weights_BHQN, x_BND)
        return torch.einsum("bhqd,hkd->bqhk", mean_BHQD, value).flatten(2)
