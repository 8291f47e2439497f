"""The contract of a head."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config

Level = Literal["row", "constituent", "pair", "hidden", "assignment", "solutions", "segment"]
"""What a head has an output for; ``hidden`` are constituents whose momenta the network is not shown,
``assignment`` choices of constituents as the daughters of resonances, ``solutions`` several of momenta of the
row, ``segment`` a few sets of constituents."""


class Head(nn.Module):
    """Features in, outputs out. Subclasses are built by ``cls(config, width=D, num_outputs=K)``."""

    Config: ClassVar[type[Config]]
    level: ClassVar[Level] = "row"
    """What there is an output for: the row, its constituents, pairs of them, hidden ones, choices, solutions
    or sets."""

    @abstractmethod
    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return the outputs: (B, K) of rows, (B, N, K) of constituents, (B, N, N) of pairs, (B, M) of
        choices, (B, S, M, 4) of solutions, (B, Q, C + N) of sets."""
