"""Network: standardisation, conditioning, a backbone, heads and a generator; what a model directory holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.batch import Batch
from hepfm.core.config import Component
from hepfm.core.schema import Field
from hepfm.generators.base import Generator, Made
from hepfm.nn.conditioning import Conditioning
from hepfm.nn.feature_dropout import FeatureDropout
from hepfm.nn.momenta import relative_momenta
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


@dataclass(frozen=True)
class Source:
    """What a generator makes rows of.

    Attributes
    ----------
    generator
        The generator's component.
    label
        The field whose classes it is told; None for data without labels.
    max_constituents
        Most constituents of a row.
    """

    generator: Component
    label: Field | None
    max_constituents: int


class Network(nn.Module):
    """Physical features in, features and head outputs out.

    Parameters
    ----------
    standardize
        The layer from physical features to network inputs; its constants are buffers.
    backbone
        The backbone.
    feature_names
        Names of the physical features.
    num_context
        C, number of context features of a row that the backbone is told; 0 for none.
    """

    def __init__(
        self,
        standardize: Standardize,
        backbone: Backbone,
        *,
        feature_names: tuple[str, ...],
        num_context: int = 0,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self.backbone = backbone
        self.feature_names = feature_names
        self.num_context = num_context
        self.conditioning = Conditioning(backbone.width, num_context=num_context) if num_context else None
        self.feature_dropout = FeatureDropout({}, 0.0)
        self.heads = nn.ModuleDict()
        self.generator: Generator | None = None
        self.outputs: dict[str, Output] = {}
        self.source: Source | None = None

    def add_head(self, output: Output) -> None:
        """Add a new head named after the field it predicts, in place of one of that name."""
        self.heads[output.field.name] = output.build(self.backbone.width)
        self.outputs[output.field.name] = output

    def drop_heads(self) -> None:
        """Remove every head."""
        self.heads.clear()
        self.outputs.clear()

    def add_time(self) -> None:
        """Let the backbone be told the time of a noised row."""
        if self.conditioning is None:
            self.conditioning = Conditioning(self.backbone.width)
        self.conditioning.add_time(self.backbone.width)

    def add_generator(self, source: Source) -> None:
        """Add a new generator in place of any, and the time that it needs."""
        self.add_time()
        self.source = source
        self.generator = source.generator.cls(
            source.generator.config,
            width=self.backbone.width,
            num_features=len(self.feature_names),
            num_context=self.num_context,
            num_classes=len(source.label.classes) if source.label else 0,
            max_constituents=source.max_constituents,
        )

    def features(self, batch: Batch, *, time_B: Tensor | None = None) -> Features:
        """Return the backbone's features of a batch, which is noised to `time_B` if that is given."""
        physical_BNF = self.feature_dropout(batch.features_BNF)
        x_BNF = self.standardize(physical_BNF, batch.mask_BN)
        condition_BKD = None
        if self.conditioning is not None:
            condition_BKD = self.conditioning(batch.context_BC, time_B)
        features: Features = self.backbone(
            x_BNF,
            batch.mask_BN,
            batch.p4_BN4,
            physical_BNF=physical_BNF,
            condition_BKD=condition_BKD,
        )
        return features

    def physical(self, x_BNF: Tensor, mask_BN: Tensor, context_BC: Tensor | None = None) -> Batch:
        """Return a batch of standardised features, with momenta in the jet's frame where they can be made."""
        features_BNF = self.standardize.inverse(x_BNF, mask_BN)
        return Batch(
            features_BNF=features_BNF,
            mask_BN=mask_BN,
            rows_B=torch.arange(len(mask_BN), device=mask_BN.device),
            p4_BN4=relative_momenta(features_BNF, mask_BN, self.feature_names),
            context_BC=context_BC,
        )

    @torch.no_grad()
    def generate(self, label_B: Tensor | None, context_BC: Tensor | None, generator: torch.Generator) -> Made:
        """Make rows; see `hepfm.generators.base.Generator.generate`."""
        if self.generator is None:
            raise ValueError("this network has no generator")

        def body(
            x_BNF: Tensor, mask_BN: Tensor, context_BC: Tensor | None, time_B: Tensor | None
        ) -> Features:
            return self.features(self.physical(x_BNF, mask_BN, context_BC), time_B=time_B)

        return self.generator.generate(body, label_B, context_BC, generator)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the output of every head by name."""
        features = self.features(batch)
        return {name: head(features, batch.mask_BN) for name, head in self.heads.items()}
