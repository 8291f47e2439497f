"""Class-attention head: a learned token attends to the constituents in a few blocks, then class logits."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head
from hepfm.nn.attention import key_bias
from hepfm.nn.normformer import ClassAttentionBlock


class ClassTokenConfig(Config):
    """Options of `ClassToken`; the defaults are those of 2512.04149 (public configuration).

    Attributes
    ----------
    num_blocks
        Blocks of class attention.
    num_heads
        H, a divisor of the backbone's width.
    feedforward_ratio
        Hidden sizes of the feed-forward parts over D.
    dropout
        Rate on attention weights, activations and both residual branches.
    """

    num_blocks: PositiveInt = 2
    num_heads: PositiveInt = 8
    feedforward_ratio: PositiveInt = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ClassToken(Head):
    """Class attention as in the Particle Transformer (2103.17239, 2202.03772), on any backbone.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of classes K.
    """

    Config: ClassVar[type[Config]] = ClassTokenConfig

    def __init__(self, config: ClassTokenConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if width % config.num_heads:
            raise IncompatibleError(
                f"head class_token: the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}; set num_heads to a divisor"
            )
        self.token_D = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(
            ClassAttentionBlock(
                width, num_heads=config.num_heads, ratio=config.feedforward_ratio, dropout=config.dropout
            )
            for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, num_outputs)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, (B, K)."""
        x_BND = features.tokens_BND
        bias_BN = key_bias(mask_BN, x_BND.dtype)[:, 0, 0]
        token_BD = self.token_D.to(x_BND.dtype).expand(x_BND.shape[0], -1)
        for block in self.blocks:
            token_BD = block(token_BD, x_BND, bias_BN)
        logits_BK: Tensor = self.linear(self.norm(token_BD))
        return logits_BK
