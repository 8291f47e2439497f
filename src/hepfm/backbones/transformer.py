"""A pre-norm transformer encoder with register tokens, optionally causal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.nn.attention import MultiHeadAttention, causal_bias, key_bias
from hepfm.nn.dropout import Dropout
from hepfm.nn.feedforward import FeedForward
from hepfm.nn.init import init_transformer


class TransformerConfig(Config):
    """Options of `Transformer`.

    Attributes
    ----------
    width
        D, a multiple of `num_heads`.
    depth
        Number of blocks.
    num_heads
        H.
    feedforward_ratio
        Hidden size of the feed-forward parts over D.
    num_registers
        Learned tokens put in front of the constituents (2309.16588).
    causal
        Each constituent sees only itself, those before it, and the registers.
    dropout
        Rate on attention weights, activations and both residual branches.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 10
    num_heads: PositiveInt = 8
    feedforward_ratio: PositiveInt = 4
    num_registers: NonNegativeInt = 4
    causal: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> TransformerConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class PreNormBlock(nn.Module):
    """LayerNorm and attention, then LayerNorm and feed-forward, each added to the tokens (2002.04745)."""

    def __init__(self, width: int, *, num_heads: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, num_heads=num_heads, dropout=dropout)
        self.feedforward_norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, ratio=ratio, dropout=dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x_BND: Tensor, bias: Tensor) -> Tensor:
        """Return the tokens after the block, (B, N, D)."""
        x_BND = self.dropout.add(self.attention(self.attention_norm(x_BND), bias), x_BND)
        return self.dropout.add(self.feedforward(self.feedforward_norm(x_BND)), x_BND)


class Transformer(Backbone):
    """Pre-norm transformer over constituents.

    `pooled_BD` is the mean of the registers after the last norm. It is None without registers, and in a
    causal network, where registers stand before all constituents and see none of them.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = TransformerConfig
    supports = frozenset({"causal", "registers", "condition", "pooled"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 64, "depth": 3, "num_heads": 4},
        "s": {"width": 128, "depth": 10, "num_heads": 8},
        "m": {"width": 512, "depth": 10, "num_heads": 8},
        "l": {"width": 1024, "depth": 24, "num_heads": 16},
    }

    def __init__(self, config: TransformerConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.embedding = nn.Sequential(
            nn.Linear(len(feature_names), config.width), nn.GELU(), nn.Linear(config.width, config.width)
        )
        self.registers = nn.Parameter(torch.randn(1, config.num_registers, config.width) * 0.02)
        self.blocks = nn.ModuleList(
            PreNormBlock(
                config.width,
                num_heads=config.num_heads,
                ratio=config.feedforward_ratio,
                dropout=config.dropout,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        init_transformer(self, self.blocks)

    def forward(
        self,
        x_BNF: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        condition_BKD: Tensor | None = None,
    ) -> Features:
        """Return normalised constituents and the mean register; four-momenta are not used."""
        registers = self.config.num_registers
        first = [self.registers.expand(x_BNF.shape[0], -1, -1)]
        if condition_BKD is not None:
            first.append(condition_BKD)
        x_BND = torch.cat((*first, self.embedding(x_BNF)), dim=1)
        num = x_BND.shape[1] - mask_BN.shape[1]
        bias = self._bias(F.pad(mask_BN, (num, 0), value=True), num, x_BND.dtype)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        x_BND = self.norm(x_BND)
        own_BKD = x_BND[:, :registers] if registers and not self.config.causal else None
        pooled = None if own_BKD is None else own_BKD.mean(1)
        return Features(x_BND[:, num:] * mask_BN[..., None], pooled, own_BKD)

    def _bias(self, seen_BN: Tensor, prefix: int, dtype: torch.dtype) -> Tensor:
        bias = key_bias(seen_BN, dtype)
        if not self.config.causal:
            return bias
        order = causal_bias(seen_BN.shape[1], prefix=prefix, dtype=dtype, device=seen_BN.device)
        return torch.minimum(bias, order)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the embedding with the registers, each block, then the last norm."""
        first = [*self.embedding.parameters(), self.registers]
        return [first, *(list(block.parameters()) for block in self.blocks), list(self.norm.parameters())]
