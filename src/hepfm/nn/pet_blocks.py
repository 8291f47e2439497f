"""Blocks of the Point Edge Transformer: pre-norm attention, dynamic tanh in place of norms (2510.24066)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import attention
from hepfm.nn.dropout import Dropout
from hepfm.nn.dynamic_tanh import DynamicTanh, normed_linear, weighted_linear
from hepfm.nn.linear import Linear
from hepfm.nn.packing import Packing


class TanhFeedForward(nn.Module):
    """Linear, GELU, dynamic tanh, dropout, linear; for tokens of any layout (..., D).

    Parameters
    ----------
    inputs, hidden, outputs
        Sizes.
    bias
        Whether the linear layers have biases.
    dropout
        Rate before the last layer.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.expand = Linear(inputs, hidden, bias=bias)
        self.norm = DynamicTanh(hidden)
        self.dropout = Dropout(dropout)
        self.contract = Linear(hidden, outputs, bias=bias)

    def forward(self, x: Tensor, norm: DynamicTanh | None = None) -> Tensor:
        """Return the transformed tokens; `norm`, if given, comes before the first layer."""
        return self.finish(self.hidden(x, norm))

    def hidden(self, x: Tensor, norm: DynamicTanh | None = None) -> Tensor:
        """Return the hidden activations, without the weight of their norm."""
        expanded = self.expand(x) if norm is None else normed_linear(x, norm, self.expand)
        return self.dropout(self.norm.unweighted(F.gelu(expanded)))

    def finish(self, hidden: Tensor) -> Tensor:
        """Return the output of hidden activations, of which it is linear."""
        return weighted_linear(hidden, self.norm, self.contract)


class PetAttention(nn.Module):
    """Dynamic tanh and multi-head attention without biases.

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
        self.norm = DynamicTanh(width)
        self.in_proj = Linear(width, 3 * width, bias=False)
        self.out_proj = Linear(width, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return what the tokens gather, (B, N, D); `bias` broadcasts to (B, H, N, N)."""
        qkv_BNC = normed_linear(x_BND, self.norm, self.in_proj)
        head_width = x_BND.shape[-1] // self.num_heads
        qkv_BN3HK = qkv_BNC.view(*x_BND.shape[:2], 3, self.num_heads, head_width)
        qkv_3BHNK = qkv_BN3HK.permute(2, 0, 3, 1, 4).contiguous()
        gathered_BHNK = attention(qkv_3BHNK, bias, self.dropout)
        out_BND: Tensor = self.out_proj(gathered_BHNK.transpose(1, 2).flatten(2))
        return out_BND

    def packed(self, x_TD: Tensor, packing: Packing, bias: Tensor) -> Tensor:
        """Return what packed tokens gather, (T, D); see `forward`."""
        qkv_TC = normed_linear(x_TD, self.norm, self.in_proj)
        qkv_3BHNK = packing.heads(qkv_TC, parts=3, heads=self.num_heads)
        gathered_BHNK = attention(qkv_3BHNK, bias, self.dropout)
        out_TD: Tensor = self.out_proj(packing.pack(gathered_BHNK.transpose(1, 2).flatten(2)))
        return out_TD


class PetBlock(nn.Module):
    """Dynamic tanh and attention without biases, then dynamic tanh and feed-forward, both residual.

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
        self.attention = PetAttention(width, num_heads=num_heads, dropout=dropout)
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
        x_BND = x_BND + self.attention(x_BND, bias)
        return x_BND + self.feedforward(x_BND, self.feedforward_norm)

    def packed(self, x_TD: Tensor, packing: Packing, bias: Tensor) -> Tensor:
        """Return packed tokens after the block, (T, D); see `forward`."""
        x_TD = x_TD + self.attention.packed(x_TD, packing, bias)
        return x_TD + self.feedforward(x_TD, self.feedforward_norm)

    def weighted_mean(self, x_TKD: Tensor, weight_TK: Tensor, bias: Tensor) -> Tensor:
        """Return the weighted sum over K of the tokens after the block, (T, D); weights add up to 1 or 0.

        The last layer is linear, so it acts once, after the sum.
        """
        rows, num = weight_TK.shape
        x_TKD = x_TKD + self.attention(x_TKD, bias)
        hidden_TKC = self.feedforward.hidden(x_TKD, self.feedforward_norm)
        weight_TK1 = weight_TK[..., None]
        tokens_TD = (x_TKD.view(rows, num, x_TKD.shape[-1]) * weight_TK1).sum(1)
        finished_TD = self.feedforward.finish(
            (hidden_TKC.view(rows, num, hidden_TKC.shape[-1]) * weight_TK1).sum(1)
        )
        return tokens_TD + finished_TD * weight_TK.sum(1, keepdim=True)


@torch.no_grad()
def init_pet(module: nn.Module) -> None:
    """Set the linear layers below `module` as the public package does: Xavier-uniform, zero biases.

    Query, key and value count as one matrix.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
