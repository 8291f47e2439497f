"""Numbers as tokens: those of a constituent attend to each other before they become its vector."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import IncompatibleError
from hepfm.embeddings.base import InputEmbedding
from hepfm.embeddings.numbers import field_vectors
from hepfm.nn.attention import key_bias
from hepfm.nn.blocks import Block, PreNormBlock
from hepfm.nn.layers import Layers
from hepfm.nn.tracing import is_traced


class NumberTokensConfig(BaseConfig):
    """Options of `NumberTokens`.

    Attributes
    ----------
    depth
        Number of blocks over the numbers of a constituent.
    num_heads
        Attention heads; they divide the backbone's width.
    feedforward_ratio
        Hidden size of the feed-forward parts over the width.
    dropout
        Rate in the blocks.
    """

    depth: PositiveInt = 1
    num_heads: PositiveInt = 4
    feedforward_ratio: PositiveInt = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class NumberTokens(InputEmbedding):
    """Each number that a constituent has is a token ``x_f * v_f + b_f`` (xVal, 2310.02989), one of a group.

    The tokens of a constituent pass through transformer blocks that see no other constituent, and their mean
    is its vector: numbers can be combined before constituents are, which a sum leaves to the backbone. The
    sequence of the backbone stays that of constituents: its pairs, masks, groupings and heads are theirs, and
    a sequence of all numbers would be as many times longer as there are fields.
    """

    Config: ClassVar[type[BaseConfig]] = NumberTokensConfig

    def __init__(self, config: NumberTokensConfig, *, width: int, num_features: int) -> None:
        super().__init__(config, width=width, num_features=num_features)
        if width % config.num_heads:
            raise IncompatibleError(
                f"embedding 'number_tokens': the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}"
            )
        self.vectors_FD, self.offsets_FD = field_vectors(width, num_features)
        self.blocks: Layers[Block] = Layers(
            [
                PreNormBlock(
                    width,
                    num_heads=config.num_heads,
                    ratio=config.feedforward_ratio,
                    dropout=config.dropout,
                    layer_scale=None,
                )
                for _ in range(config.depth)
            ]
        )

    def forward(self, x_C2F: Tensor, mask_C: Tensor | None = None) -> Tensor:
        """Return the vectors; see `InputEmbedding.forward`. Only constituents with a number are computed."""
        x_S2F = x_C2F.flatten(0, -2)
        if is_traced():
            return self._embed(x_S2F).view(*x_C2F.shape[:-1], self.width)
        index_M = x_S2F[:, self.num_features :].any(1).nonzero()[:, 0]
        h_MD = self._embed(x_S2F.index_select(0, index_M))
        h_SD = h_MD.new_zeros(x_S2F.shape[0], self.width).index_copy(0, index_M, h_MD)
        return h_SD.view(*x_C2F.shape[:-1], self.width)

    def _embed(self, x_M2F: Tensor) -> Tensor:
        values_MF, flags_MF = x_M2F.tensor_split(2, dim=1)
        token_MFD = values_MF[..., None] * self.vectors_FD + self.offsets_FD
        bias = key_bias(flags_MF > 0, token_MFD.dtype)
        for block in self.blocks:
            token_MFD = block(token_MFD, bias)
        number_M1 = flags_MF.sum(1, keepdim=True).clamp(min=1)
        return torch.einsum("mfd,mf->md", token_MFD, flags_MF.to(token_MFD.dtype)) / number_M1
