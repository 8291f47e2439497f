"""The causal transformer of OmniJet-alpha: LayerNorm after each branch, no positional encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from hepfm.backbones.transformer import Transformer, TransformerConfig
from hepfm.core.config import Config
from hepfm.nn.blocks import Block, PostNormBlock


class PostNormTransformerConfig(TransformerConfig):
    """Options of `PostNormTransformer`, those of `TransformerConfig`; the defaults are OmniJet-alpha's."""

    width: int = 256
    depth: int = 3
    num_registers: int = 0
    causal: bool = True


class PostNormTransformer(Transformer):
    """Post-norm transformer with ReLU (1706.03762), causal, as OmniJet-alpha's backbone (2403.05618).

    With 8192 codes it has 2,366,976 weights in its blocks, as there. The embedding has no rows for the start
    and the stop: the start is a vector of the generator's, and the stop is never read.
    """

    Config: ClassVar[type[Config]] = PostNormTransformerConfig
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 64, "depth": 3, "num_heads": 4},
        "s": {},
    }

    @staticmethod
    def _block(config: TransformerConfig) -> Block:
        return PostNormBlock(
            config.width,
            num_heads=config.num_heads,
            ratio=config.feedforward_ratio,
            dropout=config.dropout,
        )

    @staticmethod
    def _last_norm(config: TransformerConfig) -> nn.Module:
        return nn.Identity()
