"""Standardisation of physical features inside the network: (x - centre) * scale, clipped."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """Map each feature to ``clip((x - centre) * scale, -limit, limit)``; zero where there is no constituent.

    Parameters
    ----------
    centre, scale
        Shape (F,). Buffers: they are saved with the model and never trained.
    limit
        Clip, 5 in the Particle Transformer's own preprocessing (2202.03772, public configuration files).
    """

    centre_F: Tensor
    scale_F: Tensor

    def __init__(self, centre: list[float], scale: list[float], limit: float = 5.0) -> None:
        super().__init__()
        self.register_buffer("centre_F", torch.tensor(centre, dtype=torch.float32))
        self.register_buffer("scale_F", torch.tensor(scale, dtype=torch.float32))
        self.limit = limit

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return standardised features of the shape of `x`, (..., F), zero where `mask` (...) is false."""
        x = ((x - self.centre_F) * self.scale_F).clamp(-self.limit, self.limit)
        return x * mask[..., None]

    def clips(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return where a physical feature lies beyond the clip, boolean of the shape of `mask`, (...)."""
        beyond = ((x - self.centre_F) * self.scale_F).abs() > self.limit
        return beyond.any(-1) & mask

    def inverse(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return physical features of standardised ones, zero where `mask` is false."""
        return (x / self.scale_F + self.centre_F) * mask[..., None]

    def inverse_within(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the same, of generated features kept within what networks are trained on."""
        return self.inverse(x.clamp(-self.limit, self.limit), mask)
