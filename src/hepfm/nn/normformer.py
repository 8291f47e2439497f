"""The Particle Transformer's blocks: NormFormer-style attention, and attention of a class token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.attention import MultiHeadAttention
from hepfm.nn.dropout import Dropout
from hepfm.nn.feedforward import FeedForward
from hepfm.nn.packing import Packing


class NormFormerBlock(nn.Module):
    """Pre-norm block with a norm after attention and within the feed-forward part, and learned scales.

    NormFormer (2110.09456) as used in 2202.03772. As in its public implementation the per-head scale acts
    on the output of the attention's last linear layer, and the residual scale on the skip of the
    feed-forward part.

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

    def forward(self, x_TD: Tensor, packing: Packing, bias: Tensor) -> Tensor:
        """Return packed tokens after attention, with `bias` on its logits, and feed-forward; (T, D)."""
        attended_TD = self.attention.packed(self.attention_norm(x_TD), packing, bias, self.head_scale)
        return self._finish(x_TD, attended_TD)

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = self.dropout.add(self.attention_post_norm(attended), x)
        transformed = self.feedforward(self.feedforward_norm(x))
        return self.dropout.add(transformed, self.residual_scale * x)


class ClassAttentionBlock(NormFormerBlock):
    """The same block for a class token that attends to itself and to all constituents (CaiT, 2103.17239)."""

    def forward(self, token_BD: Tensor, x_BND: Tensor, bias_BN: Tensor) -> Tensor:  # type: ignore[override]
        """Return the class token, (B, D).

        Parameters
        ----------
        token_BD
            Class token; as in the public implementation the query is not normalised, keys and values are.
        x_BND
            Constituents, which stay as they are.
        bias_BN
            Added to the logits of the constituents.
        """
        self_BD, x_BND = self.attention_norm(token_BD), self.attention_norm(x_BND)
        return self._finish(token_BD, self._gather(token_BD, self_BD, x_BND, bias_BN))

    def _gather(self, token_BD: Tensor, self_BD: Tensor, x_BND: Tensor, bias_BN: Tensor) -> Tensor:
        # One query: its product with the key matrix, and the value matrix after the weighted mean, take the
        # place of keys and values of all constituents.
        attention, heads = self.attention, len(self.head_scale)
        query, key, value = attention.in_proj.weight.view(3, heads, -1, token_BD.shape[1])
        query_offset, key_offset, value_offset = attention.in_proj.bias.view(3, heads, -1)
        q_BHK = torch.einsum("bd,hkd->bhk", token_BD, query) + query_offset
        q_BHK = q_BHK * q_BHK.shape[-1] ** -0.5
        probe_BHD = torch.einsum("bhk,hkd->bhd", q_BHK, key)
        offset_BH1 = (q_BHK * key_offset).sum(-1, keepdim=True)
        own_BH1 = (probe_BHD * self_BD[:, None]).sum(-1, keepdim=True)
        logits_BHN = probe_BHD @ x_BND.transpose(1, 2) + bias_BN[:, None]
        weights = attention.dropout((torch.cat((own_BH1, logits_BHN), dim=-1) + offset_BH1).softmax(-1))
        mean_BHD = weights[..., :1] * self_BD[:, None] + weights[..., 1:] @ x_BND
        # The weights sum to one unless some are dropped, so the offset of the values is theirs times the sum.
        gathered = (
            torch.einsum("bhd,hkd->bhk", mean_BHD, value) + weights.sum(-1, keepdim=True) * value_offset
        )
        return attention.project(gathered.flatten(1), self.head_scale)
