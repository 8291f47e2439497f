"""The contract of a head."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config


class Head(nn.Module):
    """Features in, outputs out. Subclasses are built by ``cls(config, width=D, num_outputs=K)``."""

    Config: ClassVar[type[Config]]

    @abstractmethod
    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return the outputs, shape (B, K) for a row-level head."""
