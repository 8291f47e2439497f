"""Network: standardisation, a backbone and named heads; what a model directory holds."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.batch import Batch
from hepfm.nn.standardize import Standardize


class Network(nn.Module):
    """Physical features in, features and head outputs out.

    Parameters
    ----------
    standardize
        The layer from physical features to network inputs; its constants are buffers.
    backbone
        The backbone.
    heads
        Heads by name; outputs of `predict` carry these names.
    """

    def __init__(self, standardize: Standardize, backbone: Backbone, heads: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.standardize = standardize
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads or {})

    def features(self, batch: Batch) -> Features:
        """Return the backbone's features of a batch."""
        return self.backbone(self.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN, batch.p4_BN4)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the output of every head by name."""
        features = self.features(batch)
        return {name: head(features, batch.mask_BN) for name, head in self.heads.items()}
