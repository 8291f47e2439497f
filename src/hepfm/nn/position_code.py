"""Codes of places in the eta-phi plane of a row."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_FREQUENCIES = 8
_FIRST = math.pi / 2
"""Lowest angular frequency, 1 / rad: a quarter of a wave over 1 rad; the highest is 128 times that."""


class PositionCode(nn.Module):
    """Sines and cosines of deta and dphi at frequencies that double, then a linear layer.

    Parameters
    ----------
    width
        Size of the code.
    """

    frequency_K: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequency_K", _FIRST * 2.0 ** torch.arange(_FREQUENCIES), persistent=False)
        self.linear = nn.Linear(4 * _FREQUENCIES, width)

    def forward(self, place: Tensor) -> Tensor:
        """Return codes (..., W) of places (..., 2)."""
        angle = (place[..., None] * self.frequency_K).flatten(-2)
        code: Tensor = self.linear(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return code
