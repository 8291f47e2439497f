"""Hidden constituents are removed, and a decoder fills them in: the masked autoencoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.networks.network import Network
from hepfm.objectives.base import Output, View
from hepfm.objectives.masked_hiding.base import HiddenDecoder, Hiding, shown_tokens
from hepfm.objectives.masked_hiding.ranked_attention import DecoderConfig, RankedAttention
from hepfm.objectives.masked_targets.base import Hidden
from hepfm.objectives.selection import gather_visible


class RemovedConfig(DecoderConfig):
    """Options of `RemovedHiding`: those of its decoder; 2 blocks in 2606.14870."""


class RemovedHiding(Hiding):
    """The backbone sees the others only (2409.12589; as in 2606.14870).

    Of n constituents ``round(fraction * n)`` are removed, and at least one stays.
    """

    Config: ClassVar[type[Config]] = RemovedConfig

    def __init__(self, config: RemovedConfig, network: Network) -> None:
        super().__init__()
        self.config = config

    @staticmethod
    def count(fraction: float, count_B: Tensor) -> Tensor:
        """Return the rounded number, of which at least one constituent is left over."""
        rounded_B = (fraction * count_B.double()).round().long()
        return torch.minimum(rounded_B, (count_B - 1).clamp(min=0))

    def view(self, batch: Batch, hidden_BN: Tensor, network: Network) -> View:
        """Return the batch of the others."""
        return View(gather_visible(batch, batch.mask_BN & ~hidden_BN, network))

    def decoder(self, network: Network) -> HiddenDecoder:
        """Return a new decoder."""
        return RemovedDecoder(self.config, width=network.backbone.width)


class RemovedDecoder(HiddenDecoder):
    """Attention over what the backbone made of the rest and a vector of the rank of each removed one.

    Ranks are counted among the removed: the 1st, 2nd, ... of them in falling order of pt.
    """

    def __init__(self, config: RemovedConfig, *, width: int) -> None:
        super().__init__()
        self.attention = RankedAttention(config, width=width)
        self.width = self.attention.width

    def forward(self, output: Output, hidden: Hidden) -> Tensor:
        """Return a vector of each removed constituent, (B, M, W)."""
        tokens_BKD, mask_BK = shown_tokens(output)
        seen_BKW = self.attention.enter(tokens_BKD)
        rank_M = torch.arange(hidden.mask_BM.shape[1], device=mask_BK.device)
        rank_BMW = self.attention.ranks(rank_M).expand(len(mask_BK), -1, -1).to(seen_BKW.dtype)
        x_BNW = self.attention(
            torch.cat([seen_BKW, rank_BMW], dim=1), torch.cat([mask_BK, hidden.mask_BM], dim=1)
        )
        h_BMW: Tensor = self.attention.norm(x_BNW[:, seen_BKW.shape[1] :])
        return h_BMW
