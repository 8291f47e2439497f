"""Network: standardisation, a backbone and named heads; what a model directory holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.batch import Batch
from hepfm.core.config import Component
from hepfm.core.schema import Field
from hepfm.nn.standardize import Standardize


@dataclass(frozen=True)
class Output:
    """What a head predicts.

    Attributes
    ----------
    head
        The head's component.
    field
        The field that is predicted. A categorical field has one output per class, any other one output.
    """

    head: Component
    field: Field

    @property
    def num_outputs(self) -> int:
        """K, the number of outputs."""
        return len(self.field.classes) or 1

    def build(self, width: int) -> Any:
        """Return a new head for features of size `width`."""
        return self.head.cls(self.head.config, width=width, num_outputs=self.num_outputs)


class Network(nn.Module):
    """Physical features in, features and head outputs out.

    Parameters
    ----------
    standardize
        The layer from physical features to network inputs; its constants are buffers.
    backbone
        The backbone.
    heads
        Heads by name; outputs of `forward` carry these names.
    """

    def __init__(
        self, standardize: Standardize, backbone: Backbone, heads: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads or {})
        self.outputs: dict[str, Output] = {}

    def add_head(self, output: Output) -> None:
        """Add a new head named after the field it predicts, in place of one of that name."""
        self.heads[output.field.name] = output.build(self.backbone.width)
        self.outputs[output.field.name] = output

    def drop_heads(self) -> None:
        """Remove every head."""
        self.heads.clear()
        self.outputs.clear()

    def features(self, batch: Batch) -> Features:
        """Return the backbone's features of a batch."""
        x_BNF = self.standardize(batch.features_BNF, batch.mask_BN)
        features: Features = self.backbone(x_BNF, batch.mask_BN, batch.p4_BN4)
        return features

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the output of every head by name."""
        features = self.features(batch)
        return {name: head(features, batch.mask_BN) for name, head in self.heads.items()}
