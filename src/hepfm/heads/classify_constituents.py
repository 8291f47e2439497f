"""Classification of constituents: features of each, and those of the row, through layers to class logits."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.heads.base import Head, Level
from hepfm.nn.dropout import Dropout
from hepfm.nn.linear import Linear
from hepfm.nn.pooling import summary


class ClassifyConstituentsConfig(Config):
    """Options of `ClassifyConstituents`.

    Attributes
    ----------
    hidden
        Sizes of the hidden layers.
    dropout
        Rate after each of them.
    """

    hidden: tuple[PositiveInt, ...] = (128,)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ClassifyConstituents(Head):
    """Class logits of each constituent.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of classes K.
    """

    Config: ClassVar[type[Config]] = ClassifyConstituentsConfig
    level: ClassVar[Level] = "constituent"

    def __init__(self, config: ClassifyConstituentsConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        self.layers, width = hidden_layers(2 * width, config.hidden, dropout=config.dropout)
        self.linear = Linear(width, num_outputs)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, (B, N, K); 0 in padding."""
        logits_BNK: Tensor = self.linear(self.layers(with_row(features, mask_BN)))
        return logits_BNK.masked_fill(~mask_BN[..., None], 0.0)


def with_row(features: Features, mask_BN: Tensor) -> Tensor:
    """Return the features of each constituent with those of the row beside them, (B, N, 2 D)."""
    row_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN)
    row_BND = row_BD[:, None].expand_as(features.tokens_BND)
    return torch.cat([features.tokens_BND, row_BND.to(features.tokens_BND.dtype)], dim=-1)


def hidden_layers(width: int, sizes: tuple[int, ...], *, dropout: float) -> tuple[nn.Sequential, int]:
    """Return layers with GELU for each constituent by itself, and the size of their output."""
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [Linear(width, size), nn.GELU(), Dropout(dropout)]
        width = size
    return nn.Sequential(*layers), width
