"""Dynamic tanh: a normalisation without statistics (2503.10622)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DynamicTanh(nn.Module):
    """``weight * tanh(alpha * x)`` with one alpha for all channels, as in OmniLearned (2510.24066).

    Parameters
    ----------
    width
        D.
    alpha
        Start of alpha; 0.5 in 2503.10622.
    """

    def __init__(self, width: int, alpha: float = 0.5) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the squashed tokens, of the shape of `x`."""
        return torch.tanh(self.alpha * x) * self.weight
