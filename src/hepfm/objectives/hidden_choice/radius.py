"""All constituents within a radius of one of them."""

from __future__ import annotations

from typing import ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.networks.network import Network
from hepfm.objectives.hidden_choice.base import GeometricChoice, nearest


class RadiusChoiceConfig(Config):
    """Options of `RadiusChoice`.

    Attributes
    ----------
    radius
        In eta and phi.
    """

    radius: pydantic.PositiveFloat = 0.1


class RadiusChoice(GeometricChoice[RadiusChoiceConfig]):
    """All constituents within a radius of a random one, whatever their number; the farthest is left."""

    Config: ClassVar[type[Config]] = RadiusChoiceConfig

    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N)."""
        distance_BN = self.distance(batch, network, draws, name)
        within_B = (distance_BN < self.config.radius).sum(1)
        return batch.mask_BN & nearest(distance_BN, torch.minimum(within_B, batch.mask_BN.sum(1) - 1))
