"""A constituent and those nearest to it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.networks.network import Network
from hepfm.objectives.hidden_choice.base import GeometricChoice, nearest


class NeighboursChoiceConfig(Config):
    """There are no options."""


class NeighboursChoice(GeometricChoice[NeighboursChoiceConfig]):
    """Exactly the number that is asked for: a random constituent, and those nearest to it in eta and phi."""

    Config: ClassVar[type[Config]] = NeighboursChoiceConfig

    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N)."""
        return batch.mask_BN & nearest(self.distance(batch, network, draws, name), number_B)
