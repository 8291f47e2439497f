"""Attention over a row in which the rank in pt of a constituent is a learned vector."""

from __future__ import annotations

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError
from hepfm.nn.attention import key_bias
from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.pet_blocks import PetBlock


class DecoderConfig(Config):
    """Options of the decoder that answers for hidden constituents.

    Attributes
    ----------
    decoder_blocks
        Its attention blocks.
    decoder_width
        Size of its vectors, a multiple of `decoder_heads`; None means the backbone's.
    decoder_heads
        Its attention heads.
    num_ranks
        Learned vectors of the 1st, 2nd, ... constituent in falling order of pt; those beyond share the last.
    """

    decoder_blocks: pydantic.PositiveInt = 2
    decoder_width: pydantic.PositiveInt | None = None
    decoder_heads: pydantic.PositiveInt = 4
    num_ranks: pydantic.PositiveInt = 64


class RankedAttention(nn.Module):
    """A linear layer into the decoder, vectors of ranks, attention blocks and a last norm.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    """

    def __init__(self, config: DecoderConfig, *, width: int) -> None:
        super().__init__()
        self.width = inner = config.decoder_width or width
        if inner % config.decoder_heads:
            raise ConfigError(
                f"objective.hide: decoder_heads={config.decoder_heads} does not divide the decoder's "
                f"width {inner}; set decoder_width or decoder_heads"
            )
        self.enter = nn.Linear(width, inner)
        self.ranks_RW = nn.Parameter(torch.randn(config.num_ranks, inner) * 0.02)
        self.blocks = nn.ModuleList(
            PetBlock(inner, num_heads=config.decoder_heads) for _ in range(config.decoder_blocks)
        )
        self.norm = DynamicTanh(inner)

    def ranks(self, rank: Tensor) -> Tensor:
        """Return the vectors of ranks, counted from 0, (..., W)."""
        return self.ranks_RW[rank.clamp(max=len(self.ranks_RW) - 1)]

    def forward(self, x_BNW: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the vectors after all blocks, before the last norm, (B, N, W)."""
        bias = key_bias(mask_BN, x_BNW.dtype)
        for block in self.blocks:
            x_BNW = block(x_BNW, bias)
        return x_BNW
