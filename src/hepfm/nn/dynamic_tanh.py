"""Dynamic tanh: a normalisation without statistics (2503.10622)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.kernels.fast_tanh import fast_tanh
from hepfm.nn.kernels.switch import cpu_kernels_allowed
from hepfm.nn.linear import Linear, linear


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
        """Return the normalised tokens, of the shape of `x`."""
        return self.unweighted(x) * self.weight

    def unweighted(self, x: Tensor) -> Tensor:
        """Return ``tanh(alpha * x)``."""
        return fast_tanh(x, self.alpha) if cpu_kernels_allowed(x) else torch.tanh(self.alpha * x)


def normed_linear(x: Tensor, norm: DynamicTanh, layer: Linear) -> Tensor:
    """Return ``layer(norm(x))``, with the weight of the norm folded into that of the layer: a pass less."""
    return weighted_linear(norm.unweighted(x), norm, layer)


def weighted_linear(x: Tensor, norm: DynamicTanh, layer: Linear) -> Tensor:
    """Return ``layer(x * norm.weight)``, with the weight of the norm folded into that of the layer."""
    return linear(x, layer.weight * norm.weight, layer.bias)
