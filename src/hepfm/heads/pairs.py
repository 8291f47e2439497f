"""Pairs of constituents: whether two come from the same vertex, from how much their features differ."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head, Level
from hepfm.heads.classify_constituents import hidden_layers, with_row


class PairsConfig(Config):
    """Options of `Pairs`; the sizes are those of 2409.12589 (public code).

    Attributes
    ----------
    hidden
        Sizes of the layers that each constituent passes.
    dropout
        Rate after each of them.
    """

    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128, 128)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Pairs(Head):
    """A logit of each pair, ``w . |x_i - x_j| + b``, x the features of a constituent, with those of
    the row beside them, after some layers.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        1.
    """

    Config: ClassVar[type[Config]] = PairsConfig
    level: ClassVar[Level] = "pair"

    def __init__(self, config: PairsConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if num_outputs != 1:
            raise IncompatibleError(f"head pairs gives one logit of a pair, not {num_outputs}")
        self.layers, width = hidden_layers(2 * width, config.hidden, dropout=config.dropout)
        self.linear = nn.Linear(width, num_outputs)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, symmetric, (B, N, N); those with padding and on the diagonal mean nothing."""
        x_BNE = self.layers(with_row(features, mask_BN))
        x_BNE = x_BNE if x_BNE.dtype is torch.float64 else x_BNE.float()
        w_E = self.linear.weight[0].to(x_BNE.dtype)
        # The same sum without the N x N x E differences: a distance for weights of either sign.
        with torch.autocast(x_BNE.device.type, enabled=False):
            near, far = (torch.cdist(x_BNE * w, x_BNE * w, p=1.0) for w in (w_E.relu(), (-w_E).relu()))
        logits_BNN: Tensor = near - far + self.linear.bias.to(x_BNE.dtype)
        return logits_BNN
