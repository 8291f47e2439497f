"""Classification head of OmniJet-alpha: a layer on each constituent, their sum, a linear layer."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.heads.base import Head


class SumConfig(Config):
    """Options of `Sum`.

    Attributes
    ----------
    hidden
        Size of the layer that acts on each constituent; None means the backbone's width, as in the
        public code of 2403.05618.
    """

    hidden: PositiveInt | None = None


class Sum(Head):
    """Linear and ReLU of each constituent, their sum, Linear (2403.05618).

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of classes K.
    """

    Config: ClassVar[type[Config]] = SumConfig

    def __init__(self, config: SumConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        hidden = config.hidden or width
        self.each = nn.Linear(width, hidden)
        self.linear = nn.Linear(hidden, num_outputs)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, (B, K)."""
        each_BND = F.relu(self.each(features.tokens_BND)) * mask_BN[..., None]
        logits_BK: Tensor = self.linear(each_BND.sum(1))
        return logits_BK
