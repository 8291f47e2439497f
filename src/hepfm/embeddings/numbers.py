"""Numbers as vectors: each number scales a learned vector of its field (xVal, 2310.02989)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.core.config import Config as BaseConfig
from hepfm.embeddings.base import InputEmbedding


class SummedNumbersConfig(BaseConfig):
    """There are no options."""


class SummedNumbers(InputEmbedding):
    """The vector of a constituent is the sum of ``x_f * v_f + b_f`` over the numbers that it has.

    v_f and b_f are learned vectors of field f. In xVal each number is a token of a text; here the tokens of
    the backbone stay the constituents, of which pairs, masks and heads are made, and their numbers are
    summed. A number that a constituent lacks adds nothing, not even b_f: it is not taken for a zero. As in
    xVal numbers are standardised and clipped to [-5, 5], by the network.
    """

    Config: ClassVar[type[BaseConfig]] = SummedNumbersConfig

    def __init__(self, config: SummedNumbersConfig, *, width: int, num_features: int) -> None:
        super().__init__(config, width=width, num_features=num_features)
        self.vectors_FD, self.offsets_FD = field_vectors(width, num_features)

    def forward(self, x_C2F: Tensor, mask_C: Tensor | None = None) -> Tensor:
        """Return the vectors; see `InputEmbedding.forward`."""
        return x_C2F @ torch.cat((self.vectors_FD, self.offsets_FD))


def field_vectors(width: int, num_features: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Return new vectors v and b of the fields, (F, D) each; a sum over all fields has variance about 1."""
    spread = 1 / math.sqrt(2 * max(num_features, 1))
    first, second = (spread * torch.randn(num_features, width) for _ in range(2))
    return nn.Parameter(first), nn.Parameter(second)
