"""One learned vector stands for every hidden constituent: masked particle modelling as first proposed."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Placeholder
from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.networks.network import Network
from hepfm.objectives.base import Output, View
from hepfm.objectives.masked_hiding.base import HiddenDecoder, Hiding, shown_mask
from hepfm.objectives.masked_hiding.ranked_attention import DecoderConfig, RankedAttention
from hepfm.objectives.masked_targets.base import Hidden
from hepfm.objectives.selection import blank_hidden

RANKS = "ranks"
"""In the view's `extra`: the rank in pt, in its row, of what stands at each place."""

_ROUNDING = 1e-9
"""Without it floor(0.29 * 100) is 28."""


class PlaceholderConfig(DecoderConfig):
    """Options of `PlaceholderHiding`, those of its decoder: 2 blocks, 256 channels in 2401.13537."""

    decoder_heads: int = 8


class PlaceholderHiding(Hiding):
    """The backbone sees how many constituents are hidden, and the decoder where they stand (2401.13537).

    Of n constituents ``floor(fraction * n)`` are hidden. Placeholders stand behind the shown constituents,
    whatever the pt of what they stand for, so that a causal backbone learns nothing from their places; one
    that supports ``"order"`` is told their ranks.
    """

    Config: ClassVar[type[Config]] = PlaceholderConfig
    needs = frozenset({"placeholder"})

    def __init__(self, config: PlaceholderConfig, network: Network) -> None:
        super().__init__()
        self.config = config
        self.vector_D = nn.Parameter(torch.randn(network.backbone.width) * 0.02)

    @staticmethod
    def count(fraction: float, count_B: Tensor) -> Tensor:
        """Return the number rounded down."""
        return (fraction * count_B.double() + _ROUNDING).floor().long()

    def view(self, batch: Batch, hidden_BN: Tensor, network: Network) -> View:
        """Return the batch with placeholders behind the shown constituents."""
        blank, behind_BN, rank_BN = blank_hidden(batch, hidden_BN, network)
        placeholder = Placeholder(behind_BN, self.vector_D, rank_BN)
        return View(blank, extra={RANKS: rank_BN}, placeholder=placeholder)

    def decoder(self, network: Network) -> HiddenDecoder:
        """Return a new decoder."""
        return PlaceholderDecoder(self.config, width=network.backbone.width)


class PlaceholderDecoder(HiddenDecoder):
    """The vector of its rank in pt is added to every constituent, then they attend to each other."""

    def __init__(self, config: PlaceholderConfig, *, width: int) -> None:
        super().__init__()
        self.attention = RankedAttention(config, width=width)
        self.width = self.attention.width

    def forward(self, output: Output, hidden: Hidden) -> Tensor:
        """Return a vector of each placeholder, (B, M, W)."""
        mask_BN = output.view.batch.mask_BN
        x_BNW = self.attention.enter(output.features.tokens_BND)
        x_BNW = x_BNW + self.attention.ranks(output.view.extra[RANKS]).to(x_BNW.dtype)
        x_BNW = self.attention(x_BNW, mask_BN)
        first_B = shown_mask(output.view).sum(1)
        place_M = torch.arange(hidden.mask_BM.shape[1], device=mask_BN.device)
        place_BM = (first_B[:, None] + place_M).clamp(max=mask_BN.shape[1] - 1)
        h_BMW: Tensor = self.attention.norm(x_BNW.gather(1, place_BM[..., None].expand(-1, -1, self.width)))
        return h_BMW
