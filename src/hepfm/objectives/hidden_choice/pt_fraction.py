"""Any constituents that together have a fraction of the pt."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.networks.network import Network
from hepfm.objectives.hidden_choice.base import HiddenChoice
from hepfm.objectives.selection import random_ranks


class PtFractionChoiceConfig(Config):
    """There are no options."""


class PtFractionChoice(HiddenChoice[PtFractionChoiceConfig]):
    """The first constituents of a random order, whose pt comes nearest to the fraction of all (2601.11719).

    At least one is hidden, and one is left, of rows that have two.
    """

    Config: ClassVar[type[Config]] = PtFractionChoiceConfig
    inputs = frozenset({"p4"})

    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N)."""
        assert batch.p4_BN4 is not None
        rank_BN = random_ranks(batch, draws, name)
        pt_BN = batch.p4_BN4[..., 1:3].norm(dim=-1) * batch.mask_BN
        ordered_BN = torch.zeros_like(pt_BN).scatter(1, rank_BN, pt_BN)
        missed_BN = (ordered_BN.cumsum(1) / ordered_BN.sum(1, keepdim=True) - fraction_B[:, None]).abs()
        last_B = batch.mask_BN.sum(1) - 1
        place_N = torch.arange(pt_BN.shape[1], device=pt_BN.device)
        missed_BN = missed_BN.masked_fill(place_N >= last_B[:, None], torch.inf)
        wanted_B = torch.minimum(missed_BN.argmin(1) + 1, last_B)
        return batch.mask_BN & (rank_BN < wanted_B[:, None])
