"""The contract of an embedding that takes the place of a backbone's own."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.core.config import Config as BaseConfig


class InputEmbedding(nn.Module):
    """Numbers of constituents in, vectors out. Built by ``cls(config, width=D, num_features=F)``.

    A backbone that supports ``"embedding"`` is given it by `hepfm.backbones.base.Backbone.replace_embedding`,
    and hands its input on as it is: the F standardised numbers of a constituent, 0 where it lacks them, then
    F flags, 1 where it has them. What comes after, neighbours, pairs, places in a row, stays the backbone's.
    """

    Config: ClassVar[type[BaseConfig]]
    embeds: ClassVar[bool] = True
    """False for the name of the backbone's own."""

    def __init__(self, config: BaseConfig, *, width: int, num_features: int) -> None:
        super().__init__()
        self.config = config
        self.width = width
        self.num_features = num_features

    @abstractmethod
    def forward(self, x_C2F: Tensor, mask_C: Tensor | None = None) -> Tensor:
        """Return the vectors, (..., D), of numbers and flags (..., 2F); `mask_C` is not needed.

        A constituent that has no number, as padding, gets a vector of zeros.
        """


def with_flags(x_CF: Tensor, present_CF: Tensor) -> Tensor:
    """Return the input of an embedding, (..., 2F), from numbers and which of them exist."""
    flags_CF = present_CF.to(x_CF.dtype)
    return torch.cat((x_CF * flags_CF, flags_CF), dim=-1)
