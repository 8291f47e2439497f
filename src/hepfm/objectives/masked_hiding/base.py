"""The contract of a way to hide constituents, and of the decoder that looks for them."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.networks.network import Network
from hepfm.nn.pooling import row_tokens
from hepfm.objectives.base import Output, View
from hepfm.objectives.masked_targets.base import Hidden


def shown_mask(view: View) -> Tensor:
    """Return which places of a view hold constituents that are shown, boolean (B, N)."""
    mask_BN = view.batch.mask_BN
    return mask_BN if view.placeholder is None else mask_BN & ~view.placeholder.hidden_BN


def shown_tokens(output: Output) -> tuple[Tensor, Tensor]:
    """Return the backbone's tokens of the row and of its constituents, (B, K, D), and which are shown."""
    features, mask_BN = output.features, shown_mask(output.view)
    row_BKD = row_tokens(features.tokens_BND, features.pooled_BD, features.registers_BKD)
    mask_BK = torch.cat([mask_BN.new_ones(row_BKD.shape[:2]), mask_BN], dim=1)
    return torch.cat([row_BKD, features.tokens_BND], dim=1), mask_BK


class HiddenDecoder(nn.Module):
    """From what the backbone made of a view to a vector for each hidden constituent."""

    width: int
    """W, the size of the vectors."""

    @abstractmethod
    def forward(self, output: Output, hidden: Hidden) -> Tensor:
        """Return a vector of each hidden constituent, (B, M, W), in falling order of pt."""


class Hiding(nn.Module):
    """How constituents are hidden. Subclasses are built by ``cls(config, network)``; they keep no network."""

    Config: ClassVar[type[Config]]
    needs: ClassVar[frozenset[str]] = frozenset()
    """What the backbone must support; see `hepfm.backbones.base.Backbone.supports`."""

    @staticmethod
    @abstractmethod
    def count(fraction: float, count_B: Tensor) -> Tensor:
        """Return how many of so many constituents are hidden, int64 (B,)."""

    @abstractmethod
    def view(self, batch: Batch, hidden_BN: Tensor, network: Network) -> View:
        """Return a view of the batch that shows nothing of the hidden constituents."""

    @abstractmethod
    def decoder(self, network: Network) -> HiddenDecoder:
        """Return a new decoder."""
