"""Classification head of OmniLearned: the backbone's tokens attend to the constituents again (2510.24066)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head
from hepfm.nn.attention import key_bias
from hepfm.nn.cross_attention import CrossAttentionBlock
from hepfm.nn.pet_blocks import TanhFeedForward, init_pet


class ClassAttentionConfig(Config):
    """Options of `ClassAttention`; the defaults are those of the published size "small".

    Attributes
    ----------
    num_blocks
        Number of blocks in which the tokens attend to the constituents.
    num_heads
        H, a divisor of the backbone's width.
    num_registers
        Q, number of the backbone's tokens that are read; any further ones are attended to like constituents.
    feedforward_ratio
        Hidden sizes of the feed-forward parts over their inputs.
    dropout
        Rate on attention weights and hidden activations.
    """

    num_blocks: NonNegativeInt = 2
    num_heads: PositiveInt = 8
    num_registers: PositiveInt = 4
    feedforward_ratio: PositiveInt = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ClassAttention(Head):
    """Class logits from the backbone's tokens, concatenated after they attended to the constituents.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone, which must have registers.
    num_outputs
        Number of classes.
    """

    Config: ClassVar[type[Config]] = ClassAttentionConfig

    def __init__(self, config: ClassAttentionConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if width % config.num_heads:
            raise IncompatibleError(
                f"head class_attention: the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}; set num_heads to a divisor"
            )
        self.config = config
        ratio, size = config.feedforward_ratio, config.num_registers * width
        self.blocks = nn.ModuleList(
            CrossAttentionBlock(width, num_heads=config.num_heads, ratio=ratio, dropout=config.dropout)
            for _ in range(config.num_blocks)
        )
        self.feedforward = TanhFeedForward(size, ratio * size, size, dropout=config.dropout)
        self.linear = nn.Linear(size, num_outputs)
        init_pet(self)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, (B, K)."""
        tokens_BQD, others_BRD = self._split(features)
        seen_BM = F.pad(mask_BN, (others_BRD.shape[1], 0), value=True)
        x_BMD = torch.cat((others_BRD, features.tokens_BND), dim=1)
        bias = key_bias(seen_BM, x_BMD.dtype)
        for block in self.blocks:
            tokens_BQD = block(tokens_BQD, x_BMD, bias)
        logits_BK: Tensor = self.linear(self.feedforward(tokens_BQD.flatten(1)))
        return logits_BK

    def _split(self, features: Features) -> tuple[Tensor, Tensor]:
        num_needed = self.config.num_registers
        registers = features.registers_BKD
        num_registers = 0 if registers is None else registers.shape[1]
        if registers is None or num_registers < num_needed:
            raise IncompatibleError(
                f"head class_attention reads {num_needed} tokens of the backbone, which has {num_registers}; "
                "use a backbone with registers (pet, transformer), or the head classify"
            )
        return registers[:, :num_needed], registers[:, num_needed:]
