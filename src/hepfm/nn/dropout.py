"""Dropout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.kernels.dropout_mask import LEVELS, dropout_mask
from hepfm.nn.kernels.switch import kernels_allowed


class Dropout(nn.Module):
    """Set elements to zero with a probability and scale the rest so that the mean is kept.

    Parameters
    ----------
    rate
        Probability of zero, rounded to a multiple of 1/65536.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = round(rate * LEVELS) / LEVELS

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with elements dropped in training, unchanged in evaluation."""
        return x * self.mask(x.shape, x) if self._active() else x

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return ``residual + self(x)``, in one pass."""
        return torch.addcmul(residual, x, self.mask(x.shape, x)) if self._active() else residual + x

    def mask(self, shape: torch.Size, like: Tensor) -> Tensor:
        """Draw the factors of a tensor: 0, or 1 / (1 - rate); in the type and on the device of `like`."""
        if kernels_allowed():
            return dropout_mask(shape, like, self.rate)
        return F.dropout(like.new_ones(shape), self.rate)

    def _active(self) -> bool:
        return self.training and self.rate > 0.0

    def extra_repr(self) -> str:
        """Say the rate in ``repr``."""
        return f"rate={self.rate:.4f}"
