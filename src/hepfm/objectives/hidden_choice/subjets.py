"""All constituents of some subjets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.data.clustering import Clustering
from hepfm.networks.network import Network
from hepfm.objectives.hidden_choice.base import HiddenChoice, nearest


class SubjetsChoiceConfig(Config):
    """Options of `SubjetsChoice`.

    Attributes
    ----------
    radius
        Of the anti-kT subjets; 0.1 in the public code JetSSL-Lite.
    """

    radius: pydantic.PositiveFloat = 0.1


class SubjetsChoice(HiddenChoice[SubjetsChoiceConfig]):
    """The fraction of the anti-kT subjets of a row, rounded, whatever constituents they have.

    At least one subjet is hidden, and one is left, of rows that have two.
    """

    Config: ClassVar[type[Config]] = SubjetsChoiceConfig
    inputs = frozenset({"p4"})

    @classmethod
    def clusterings(cls, config: SubjetsChoiceConfig) -> Sequence[Clustering]:
        """Return the subjets."""
        return (Clustering("anti_kt", config.radius),)

    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N)."""
        (clustering,) = self.clusterings(self.config)
        subjet_BN = batch.subjets[clustering.name].masked_fill(~batch.mask_BN, -1)
        subjets_B = subjet_BN.amax(1) + 1
        wanted_B = (fraction_B * subjets_B).round().long().clamp(min=1)
        score_BN = draws.rows(batch.rows_B).uniform(f"{name}.subjets", subjet_BN.shape[1])
        place_N = torch.arange(subjet_BN.shape[1], device=subjet_BN.device)
        score_BN = score_BN.masked_fill(place_N >= subjets_B[:, None], torch.inf)
        chosen_BN = nearest(score_BN, torch.minimum(wanted_B, subjets_B - 1))
        return batch.mask_BN & chosen_BN.gather(1, subjet_BN.clamp(min=0))
