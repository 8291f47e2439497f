"""Standardisation of physical features inside the network: (x - centre) * scale, clipped."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LIMIT = 5.0
"""Of features that say nothing else."""


class Standardize(nn.Module):
    """Map each feature to ``clip((x - centre) * scale, -limit, limit)``; zero where there is no constituent.

    Parameters
    ----------
    centre, scale
        Shape (F,). Buffers: they are saved with the model and never trained.
    limit
        Clip of each feature, or of all of them: 5 in the Particle Transformer's own preprocessing
        (2202.03772, public configuration files). Not saved: the feature set has it.
    """

    centre_F: Tensor
    scale_F: Tensor
    limit_F: Tensor

    def __init__(
        self, centre: list[float], scale: list[float], limit: float | Sequence[float] = LIMIT
    ) -> None:
        super().__init__()
        limits = [limit] * len(centre) if isinstance(limit, int | float) else list(limit)
        self.register_buffer("centre_F", torch.tensor(centre, dtype=torch.float32))
        self.register_buffer("scale_F", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("limit_F", torch.tensor(limits, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return standardised features of the shape of `x`, (..., F), zero where `mask` (...) is false."""
        x = ((x - self.centre_F) * self.scale_F).clamp(-self.limit_F, self.limit_F)
        return x * mask[..., None]

    def clips(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return where a physical feature lies beyond the clip, boolean of the shape of `mask`, (...)."""
        beyond = ((x - self.centre_F) * self.scale_F).abs() > self.limit_F
        return beyond.any(-1) & mask

    def inverse(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return physical features of standardised ones, zero where `mask` is false."""
        return (x / self.scale_F + self.centre_F) * mask[..., None]

    def inverse_within(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the same, of generated features kept within what networks are trained on."""
        return self.inverse(x.clamp(-self.limit_F, self.limit_F), mask)
