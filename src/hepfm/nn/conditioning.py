"""Conditioning: features of the whole row (its kinematics, the time of a flow) as tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.standardize import Standardize


class FourierTime(nn.Module):
    """Time as sqrt(2) cos(2 pi (f t + phase)) * t, with random frequencies: zero at t = 0.

    The magnitude-preserving Fourier features of 2312.02696, times t as in OmniLearned (2510.24066, public
    package): at t = 0, without noise, the token is zero.

    Parameters
    ----------
    width
        Number of frequencies.
    """

    frequencies_D: Tensor
    phases_D: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies_D", 2 * math.pi * torch.randn(width))
        self.register_buffer("phases_D", 2 * math.pi * torch.rand(width))

    def forward(self, time_B: Tensor) -> Tensor:
        """Return the features, (B, D)."""
        angle_BD = time_B[:, None] * self.frequencies_D + self.phases_D
        return math.sqrt(2.0) * time_B[:, None] * angle_BD.cos()


class Conditioning(nn.Module):
    """Tokens of the row's context and of time, each from a small network.

    Parameters
    ----------
    width
        D of the backbone.
    num_context
        C, number of context features; 0 for none.
    time
        Whether there is a time.
    network
        What makes the context's token of its standardised features, where it is not the one of OmniLearned.
    """

    def __init__(
        self,
        width: int,
        *,
        num_context: int = 0,
        time: bool = False,
        network: nn.Sequential | None = None,
    ) -> None:
        super().__init__()
        # No clip: jets of another selection may lie far from those on which the constants were measured.
        constants = [0.0] * num_context, [1.0] * num_context
        self.standardize = Standardize(*constants, limit=math.inf) if num_context else None
        self.context = network
        if num_context and network is None:
            self.context = nn.Sequential(
                nn.Linear(num_context, width), nn.GELU(), DynamicTanh(width), nn.Linear(width, width)
            )
        self.time: nn.Sequential | None = None
        if time:
            self.add_time(width)

    def add_time(self, width: int) -> None:
        """Add the time's network, if there is none."""
        if self.time is None:
            self.time = nn.Sequential(
                FourierTime(width),
                nn.Linear(width, 2 * width, bias=False),
                nn.GELU(),
                DynamicTanh(2 * width),
                nn.Linear(2 * width, width, bias=False),
            )

    def forward(self, context_BC: Tensor | None, time_B: Tensor | None) -> Tensor | None:
        """Return the tokens, (B, K, D): the context's, if the network has one, then the time's, if given.

        Without a time the row counts as not noised, and has no time token.
        """
        tokens = []
        if self.context is not None and self.standardize is not None:
            if context_BC is None:
                raise ValueError("this network is conditioned on the row and the batch has no context")
            tokens.append(self.context(self.standardized(context_BC)))
        if time_B is not None:
            if self.time is None:
                raise ValueError("this network has no time")
            tokens.append(self.time(time_B))
        return torch.stack(tokens, dim=1) if tokens else None

    @torch.no_grad()
    def restandardize(self, centre_C: Tensor, scale_C: Tensor) -> None:
        """Set the constants of the context anew; the first layer changes so that the tokens do not."""
        assert self.standardize is not None
        assert self.context is not None
        layer, first = self.standardize, self.context[0]
        assert isinstance(first, nn.Linear)
        first.bias.add_(first.weight @ (layer.scale_F * (centre_C - layer.centre_F)))
        first.weight.mul_(layer.scale_F / scale_C)
        layer.centre_F.copy_(centre_C)
        layer.scale_F.copy_(scale_C)

    def standardized(self, context_BC: Tensor) -> Tensor:
        """Return the context features as the network sees them, (B, C)."""
        assert self.standardize is not None
        every_B = context_BC.new_ones(context_BC.shape[0], dtype=torch.bool)
        row_BC: Tensor = self.standardize(context_BC, every_B)
        return row_BC
