"""Any constituents, each as likely as the others."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.networks.network import Network
from hepfm.objectives.hidden_choice.base import HiddenChoice
from hepfm.objectives.selection import random_ranks


class RandomChoiceConfig(Config):
    """There are no options."""


class RandomChoice(HiddenChoice[RandomChoiceConfig]):
    """Exactly the number that is asked for, at random."""

    Config: ClassVar[type[Config]] = RandomChoiceConfig

    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N)."""
        return batch.mask_BN & (random_ranks(batch, draws, name) < number_B[:, None])
