"""Multi-head attention on four-dimensional tensors with an explicit additive bias."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.dropout import Dropout
from hepfm.nn.kernels.biased_attention import biased_attention, biased_attention_is_faster
from hepfm.nn.linear import Linear, linear
from hepfm.nn.packing import Packing
from hepfm.nn.tracing import is_traced

_MAX_ROWS = 65_535
"""Of one call of torch's kernels: some of those for GPUs refuse more."""


def masked_logit(dtype: torch.dtype) -> float:
    """Return the logit of a key that must get no weight: finite, so that a row without keys stays finite."""
    return torch.finfo(dtype).min / 4


def key_bias(mask_BN: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the attention bias of a key mask (True = real), shape (B, 1, 1, N)."""
    bias_BN = torch.zeros(mask_BN.shape, dtype=dtype, device=mask_BN.device)
    return bias_BN.masked_fill(~mask_BN, masked_logit(dtype))[:, None, None, :]


def causal_bias(length: int, *, prefix: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the bias by which a token attends to itself and to those before it, shape (1, 1, N, N).

    Parameters
    ----------
    length
        Number of tokens N.
    prefix
        The first `prefix` tokens attend to each other in both directions.
    """
    position = torch.arange(length, device=device)
    visible = (position[:, None] >= position[None, :]) | (position < prefix)[None, :]
    bias = torch.zeros(length, length, dtype=dtype, device=device).masked_fill(~visible, masked_logit(dtype))
    return bias[None, None]


def attention(qkv_3BHNK: Tensor, bias: Tensor, dropout: Dropout) -> Tensor:
    """Return softmax(q k^T / sqrt(K) + bias) v, shape (B, H, N, K).

    Parameters
    ----------
    qkv_3BHNK
        Query, key and value.
    bias
        Added to the logits; broadcasts to (B, H, N, N). Use `masked_logit` for keys to leave out.
    dropout
        Applied to the attention weights.
    """
    rate = dropout.rate if dropout.training else 0.0
    if biased_attention_is_faster(qkv_3BHNK, bias, rate):
        rows, heads, length = qkv_3BHNK.shape[1:4]
        factors = dropout.mask(torch.Size((rows, heads, length, length)), qkv_3BHNK) if rate else None
        return biased_attention(qkv_3BHNK, bias, factors)
    if is_traced() or qkv_3BHNK.shape[1] <= _MAX_ROWS:
        q, k, v = qkv_3BHNK
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=rate)
    parts = torch.split(qkv_3BHNK, _MAX_ROWS, dim=1)
    biases = torch.split(bias, _MAX_ROWS) if bias.shape[0] > 1 else [bias] * len(parts)
    return torch.cat(
        [attention(part, part_bias, dropout) for part, part_bias in zip(parts, biases, strict=True)]
    )


@dataclass
class KeyValueCache:
    """Keys and values of the tokens so far of a causal layer, with room for the following ones.

    Attributes
    ----------
    kv_2BHTK
        Keys and values; those from `length` on are not yet set.
    length
        Tokens so far.
    """

    kv_2BHTK: Tensor
    length: int = 0

    @classmethod
    def empty(cls, rows: int, max_tokens: int, layer: MultiHeadAttention) -> KeyValueCache:
        """Return a cache with room for `max_tokens` tokens of each row, for one layer."""
        weight: Tensor = layer.out_proj.weight
        shape = (2, rows, layer.num_heads, max_tokens, weight.shape[0] // layer.num_heads)
        return cls(weight.new_empty(shape))

    def add(self, kv_2BHMK: Tensor) -> tuple[Tensor, Tensor]:
        """Add M tokens; return the keys and the values of all so far."""
        stop = self.length + kv_2BHMK.shape[3]
        self.kv_2BHTK[:, :, :, self.length : stop] = kv_2BHMK
        self.length = stop
        keys, values = self.kv_2BHTK[:, :, :, :stop]
        return keys, values

    def keep(self, index_R: Tensor) -> None:
        """Keep only some of the rows."""
        self.kv_2BHTK = self.kv_2BHTK.index_select(1, index_R)


class MultiHeadAttention(nn.Module):
    """Attention of every token to all tokens, with one matrix for query, key and value.

    Parameters
    ----------
    width
        D; a multiple of `num_heads`.
    num_heads
        H.
    dropout
        Rate on the attention weights.
    in_bias
        Whether query, key and value have biases.
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float, in_bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = Linear(width, 3 * width, bias=in_bias)
        self.out_proj = Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the tokens after attention, (B, N, D)."""
        qkv_BNC = self.in_proj(x_BND).unflatten(-1, (3, self.num_heads, -1))
        return self.project(self._attend(qkv_BNC.permute(2, 0, 3, 1, 4).contiguous(), bias))

    def extend(self, x_BMD: Tensor, cache: KeyValueCache) -> Tensor:
        """Return M new tokens after attention to all before them and to each other, (B, M, D).

        Without gradients to the tokens before, and without dropout.
        """
        q, k, v = self.in_proj(x_BMD).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        keys, values = cache.add(torch.stack((k, v)))
        # Torch's kernels for the CPU take several times as long for single queries.
        logits_BHMT = (q * q.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        gathered_BHMK = logits_BHMT.softmax(-1) @ values
        return self.project(gathered_BHMK.transpose(1, 2).flatten(2))

    def packed(
        self, x_TD: Tensor, packing: Packing, bias: Tensor, head_scale_H: Tensor | None = None
    ) -> Tensor:
        """Return packed tokens after attention, (T, D).

        Parameters
        ----------
        x_TD
            Packed tokens.
        packing
            Where they stand in the padded layout.
        bias
            Added to the logits; broadcasts to (B, H, N, N).
        head_scale_H
            Factor of each of H equal parts of the output; None for 1.
        """
        qkv_3BHNK = packing.heads(self.in_proj(x_TD), parts=3, heads=self.num_heads)
        return self.project(packing.pack(self._attend(qkv_3BHNK, bias)), head_scale_H)

    def _attend(self, qkv_3BHNK: Tensor, bias: Tensor) -> Tensor:
        return attention(qkv_3BHNK, bias, self.dropout).transpose(1, 2).flatten(2)

    def project(self, x: Tensor, head_scale_H: Tensor | None = None) -> Tensor:
        """Return the output layer's result, with the scale of the heads folded into its weights."""
        weight: Tensor = self.out_proj.weight
        bias: Tensor = self.out_proj.bias
        if head_scale_H is not None:
            scale_D = head_scale_H.repeat_interleave(weight.shape[0] // self.num_heads)
            weight, bias = weight * scale_D[:, None], bias * scale_D
        return linear(x, weight, bias)
