"""Time of the noise of single constituents: a factor and an offset of the vectors of noised ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_FREQUENCIES, _LARGEST, _RATIO = 32, 1000.0, 1e4
"""Number of frequencies, the largest, and the largest over the smallest (evenet-core)."""


class TimeVector(nn.Module):
    """A vector of each time, zero at t = 0: sines and cosines times t, then two layers without biases.

    Parameters
    ----------
    width
        D.
    """

    frequencies_K: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        step = math.log(_RATIO) / (_FREQUENCIES - 1)
        frequencies_K = _LARGEST * torch.exp(-step * torch.arange(_FREQUENCIES, dtype=torch.float32))
        self.register_buffer("frequencies_K", frequencies_K, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, 2 * width, bias=False),
            nn.SiLU(),
            nn.Linear(2 * width, width, bias=False),
            nn.SiLU(),
        )

    def forward(self, time: Tensor) -> Tensor:
        """Return the vectors of times of any shape, (..., D)."""
        angle = time[..., None] * self.frequencies_K
        code = torch.cat((angle.sin(), angle.cos()), dim=-1) * time[..., None]
        first: nn.Linear = self.layers[0]  # type: ignore[assignment]
        vector: Tensor = self.layers(code.to(first.weight.dtype))
        return vector


class ObjectTime(nn.Module):
    """Scale and shift of embedded constituents by the time of their noise; none where the time is zero.

    Parameters
    ----------
    width
        D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.time = TimeVector(width)
        self.linear = nn.Linear(width, 2 * width, bias=False)

    def forward(self, time_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is added to a factor of 1, and the offset, (B, N, D) each."""
        scale_BND, shift_BND = self.linear(self.time(time_BN)).chunk(2, dim=-1)
        return scale_BND, shift_BND
