"""Segments of an event: queries that each say what they are and which objects belong to them (2601.17126)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head, Level
from hepfm.nn.attention import key_bias
from hepfm.nn.blocks import PreNormBlock
from hepfm.nn.cross_attention import CrossAttentionBlock
from hepfm.nn.layers import Layers


class SegmentsConfig(Config):
    """Options of `Segments`; sizes are those of 2601.17126 (public configuration).

    Attributes
    ----------
    tags
        Names of the kinds of segments, without that of none.
    queries
        Q, most segments of an event.
    num_blocks, num_heads
        Blocks of attention to the objects and between the queries, and their heads.
    dropout
        Rate on attention weights and hidden activations.
    """

    tags: Annotated[tuple[str, ...], Field(min_length=1)]
    queries: PositiveInt = 4
    num_blocks: PositiveInt = 1
    num_heads: PositiveInt = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


@dataclass(frozen=True)
class SegmentLogits:
    """What the queries say, after a block.

    Attributes
    ----------
    tag_BQC
        Logits of none, then of the tags.
    object_BQN
        Logits of each object to belong to the segment; those of padding mean nothing.
    """

    tag_BQC: Tensor
    object_BQN: Tensor


class Segments(Head):
    """Learned queries gather from objects and from each other; a tag and a mask of objects from each.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Not used.
    """

    Config: ClassVar[type[Config]] = SegmentsConfig
    level: ClassVar[Level] = "segment"

    def __init__(self, config: SegmentsConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if width % config.num_heads:
            raise IncompatibleError(
                f"head segments: the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}; set num_heads to a divisor"
            )
        self.config = config
        self.query_QD = nn.Parameter(torch.randn(config.queries, width))
        self.object_norm = nn.LayerNorm(width)
        self.gather: Layers[CrossAttentionBlock] = Layers(
            [
                CrossAttentionBlock(width, num_heads=config.num_heads, dropout=config.dropout)
                for _ in range(config.num_blocks)
            ]
        )
        self.mix: Layers[PreNormBlock] = Layers(
            [
                PreNormBlock(width, num_heads=config.num_heads, ratio=2, dropout=config.dropout)
                for _ in range(config.num_blocks)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.tag = nn.Linear(width, len(config.tags) + 1)
        self.mask = nn.Linear(width, width)

    def parts(self, features: Features, mask_BN: Tensor) -> list[SegmentLogits]:
        """Return what the queries say before the first block and after each, the last being the answer."""
        x_BND = self.object_norm(features.tokens_BND)
        bias = key_bias(mask_BN, x_BND.dtype)
        h_BQD = self.query_QD.to(x_BND.dtype).expand(len(mask_BN), -1, -1)
        nothing = h_BQD.new_zeros(1, 1, 1, h_BQD.shape[1])
        said = [self._said(h_BQD, x_BND)]
        for gather, mix in zip(self.gather, self.mix, strict=True):
            h_BQD = mix(gather(h_BQD, x_BND, bias), nothing)
            said.append(self._said(h_BQD, x_BND))
        return said

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return tags and objects side by side, (B, Q, C + N)."""
        last = self.parts(features, mask_BN)[-1]
        return torch.cat((last.tag_BQC, last.object_BQN), dim=-1)

    def _said(self, h_BQD: Tensor, x_BND: Tensor) -> SegmentLogits:
        h_BQD = self.norm(h_BQD)
        object_BQN = self.mask(h_BQD) @ x_BND.transpose(1, 2) * x_BND.shape[-1] ** -0.5
        tag_BQC = self.tag(h_BQD)
        return SegmentLogits(_single(tag_BQC), _single(object_BQN))


def _single(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()
