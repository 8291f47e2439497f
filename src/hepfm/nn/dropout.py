"""Dropout that draws 16 random bits per element, several times cheaper on a CPU than torch's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Set elements to zero with a probability and scale the rest so that the mean is kept.

    One 64-bit number of torch's generator of the device serves four elements; drawing a float for each, as
    `torch.nn.functional.dropout` does, takes a large part of a small network's time on a CPU.

    Parameters
    ----------
    rate
        Probability of zero, rounded to a multiple of 1/65536.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = round(rate * _LEVELS) / _LEVELS

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with elements dropped in training, unchanged in evaluation."""
        return x * self.mask(x.shape, x) if self._active() else x

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return ``residual + self(x)``, in one pass."""
        return torch.addcmul(residual, x, self.mask(x.shape, x)) if self._active() else residual + x

    def mask(self, shape: torch.Size, like: Tensor) -> Tensor:
        """Draw the factors of a tensor: 0, or 1 / (1 - rate); in the type and on the device of `like`."""
        keep = 1.0 - self.rate
        count = shape.numel()
        bits = torch.empty((count + 3) // 4, dtype=torch.int64, device=like.device).random_(-(2**63), None)
        mask = torch.empty(shape, dtype=like.dtype, device=like.device)
        torch.lt(bits.view(torch.int16)[:count].view(shape), round((keep - 0.5) * _LEVELS), out=mask)
        return mask.mul_(1.0 / keep)

    def _active(self) -> bool:
        return self.training and self.rate > 0.0

    def extra_repr(self) -> str:
        """Say the rate in ``repr``."""
        return f"rate={self.rate:.4f}"
