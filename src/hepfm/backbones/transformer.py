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
from hepfm.nn.attention import KeyValueCache, causal_bias, key_bias
from hepfm.nn.blocks import Block, PreNormBlock
from hepfm.nn.init import init_transformer
from hepfm.nn.layers import Layers


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
    layer_scale
        Start of a learned factor per channel of both branches (2103.17239); None for no factor.
    dropout
        Rate on attention weights, activations and both residual branches.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 10
    num_heads: PositiveInt = 8
    feedforward_ratio: PositiveInt = 4
    num_registers: NonNegativeInt = 4
    causal: bool = False
    layer_scale: float | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> TransformerConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class Transformer(Backbone):
    """Pre-norm transformer over constituents.

    `pooled_BD` is the mean of the registers after the last norm. It is None without registers, and in a
    causal network, where registers come before all constituents and see none of them.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    num_codes
        Size of the codebook, for a backbone that reads tokens; None for one that reads features.
    """

    Config: ClassVar[type[Config]] = TransformerConfig
    supports = frozenset({"prefix", "causal", "codes", "placeholder", "embedding"})
    own_parts = frozenset({"embedding"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 64, "depth": 3, "num_heads": 4},
        "s": {"width": 128, "depth": 10, "num_heads": 8},
        "m": {"width": 512, "depth": 10, "num_heads": 8},
        "l": {"width": 1024, "depth": 24, "num_heads": 16},
    }

    def __init__(
        self, config: TransformerConfig, *, feature_names: Sequence[str], num_codes: int | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.embedding = _embedding(len(feature_names), num_codes, config.width)
        self.registers = nn.Parameter(torch.randn(1, config.num_registers, config.width) * 0.02)
        self.blocks: Layers[Block] = Layers(self._block(config) for _ in range(config.depth))
        self.norm = self._last_norm(config)
        init_transformer(self, self.blocks)

    @staticmethod
    def _block(config: TransformerConfig) -> Block:
        return PreNormBlock(
            config.width,
            num_heads=config.num_heads,
            ratio=config.feedforward_ratio,
            dropout=config.dropout,
            layer_scale=config.layer_scale,
        )

    @staticmethod
    def _last_norm(config: TransformerConfig) -> nn.Module:
        return nn.LayerNorm(config.width)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return embedded constituents, each by itself; see `Backbone.embed`."""
        return self._embed(x_BNF)

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Put another module in place of the embedding."""
        self.embedding = embedding

    def encode(
        self,
        h_BND: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
    ) -> Features:
        """Return normalised constituents and the mean register; four-momenta are not used.

        `causal` asks for a causal pass of a network that is not causal by its config.
        """
        causal = causal or self.config.causal
        registers = self.config.num_registers
        first = self._first(mask_BN.shape[0], prefix_BKD)
        x_BND = torch.cat((first, h_BND), dim=1)
        num = first.shape[1]
        bias = _bias(F.pad(mask_BN, (num, 0), value=True), num, x_BND.dtype, causal=causal)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        x_BND = self.norm(x_BND)
        tokens_BND = x_BND[:, num:] * mask_BN[..., None]
        if causal:
            return Features(tokens_BND, prefix_BKD=x_BND[:, registers:num])
        own_BKD = x_BND[:, :registers] if registers else None
        return Features(tokens_BND, None if own_BKD is None else own_BKD.mean(1), own_BKD)

    def start_cache(self, rows: int, max_tokens: int) -> list[KeyValueCache]:
        """Return the empty memory of `rows` rows of up to `max_tokens` tokens after the registers."""
        max_tokens += self.config.num_registers
        return [KeyValueCache.empty(rows, max_tokens, block.attention) for block in self._blocks()]

    def extend(
        self, x_BMF: Tensor | None, cache: list[KeyValueCache], prefix_BKD: Tensor | None = None
    ) -> Tensor:
        """Return the features of new constituents, or of first tokens, of growing rows, (B, M, D)."""
        if x_BMF is None:
            rows = cache[0].kv_2BHTK.shape[1]
            x_BMD = self._first(rows, prefix_BKD)
        else:
            x_BMD = self._embed(x_BMF)
        for block, block_cache in zip(self._blocks(), cache, strict=True):
            x_BMD = block.extend(x_BMD, block_cache)
        out_BMD: Tensor = self.norm(x_BMD)
        return out_BMD[:, self.config.num_registers :] if x_BMF is None else out_BMD

    def _first(self, rows: int, prefix_BKD: Tensor | None) -> Tensor:
        registers_BKD = self.registers.expand(rows, -1, -1)
        return registers_BKD if prefix_BKD is None else torch.cat((registers_BKD, prefix_BKD), dim=1)

    def _embed(self, x: Tensor) -> Tensor:
        x_BND: Tensor = self.embedding(x if x.is_floating_point() else x.clamp(min=0))
        return x_BND

    def _blocks(self) -> list[Block]:
        return list(self.blocks)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the embedding with the registers, each block, then the last norm."""
        first = [*self.embedding.parameters(), self.registers]
        return [first, *(list(block.parameters()) for block in self.blocks), list(self.norm.parameters())]


def _embedding(num_features: int, num_codes: int | None, width: int) -> nn.Module:
    if num_codes is not None:
        return nn.Embedding(num_codes, width)
    return nn.Sequential(nn.Linear(num_features, width), nn.GELU(), nn.Linear(width, width))


def _bias(seen_BN: Tensor, prefix: int, dtype: torch.dtype, *, causal: bool) -> Tensor:
    bias = key_bias(seen_BN, dtype)
    if not causal:
        return bias
    order = causal_bias(seen_BN.shape[1], prefix=prefix, dtype=dtype, device=seen_BN.device)
    return torch.minimum(bias, order)
