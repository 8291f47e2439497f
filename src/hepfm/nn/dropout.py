"""Dropout that draws 16 random bits per element, several times cheaper on a CPU than torch's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16


def keep_mask(shape: torch.Size, probability: float, device: torch.device) -> Tensor:
    """Return a boolean mask that is True with `probability`, a multiple of 1/65536.

    One 64-bit number of torch's generator of `device` gives four elements; drawing a float for each, as
    `torch.nn.functional.dropout` does, takes most of a small network's time on a CPU.
    """
    count = shape.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64, device=device).random_(-(2**63), None)
    threshold = round(probability * _LEVELS) - _LEVELS // 2
    return (bits.view(torch.int16)[:count] < threshold).view(shape)


class Dropout(nn.Module):
    """Set elements to zero with a probability and scale the rest so that the mean is kept.

    Parameters
    ----------
    rate
        Probability of zero, rounded to a multiple of 1/65536.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.keep = round((1.0 - rate) * _LEVELS) / _LEVELS

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with elements dropped in training, unchanged in evaluation."""
        if not self.training or self.keep == 1.0:
            return x
        return x * keep_mask(x.shape, self.keep, x.device) / self.keep

    def extra_repr(self) -> str:
        """Say the rate in ``repr``."""
        return f"rate={1.0 - self.keep:.4f}"
