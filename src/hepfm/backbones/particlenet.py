"""ParticleNet: dynamic edge convolutions in the space of the features, then their mean (1902.08570)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.data.feature_names import AXES
from hepfm.nn.batchnorm import BatchNorm
from hepfm.nn.edge_block import EdgeBlock, FusionBlock
from hepfm.nn.layers import Layers
from hepfm.nn.packing import Packing
from hepfm.nn.pooling import masked_mean
from hepfm.nn.precision import at_least_single

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class ParticleNetConfig(Config):
    """Options of `ParticleNet`; the defaults are the published configuration.

    Attributes
    ----------
    blocks
        Of each edge block the sizes of its layers.
    num_neighbours
        K, neighbours of a constituent, itself not among them; one number for each block, or for all of them.
    fusion
        Size of the layer that combines the vectors of all blocks; None for those of the last block alone, as
        in the paper.
    input_norm
        Whether the features pass a batch normalisation first.
    points
        Columns, in physical units, in which the neighbours of the first block are near.
    dropout
        Rate on what a block returns; 0 in the paper.
    """

    blocks: Annotated[tuple[Widths, ...], Field(min_length=1)] = (
        (64, 64, 64),
        (128, 128, 128),
        (256, 256, 256),
    )
    num_neighbours: PositiveInt | tuple[PositiveInt, ...] = 16
    fusion: PositiveInt | None = None
    input_norm: bool = True
    points: Annotated[tuple[str, ...], Field(min_length=1)] = AXES
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> ParticleNetConfig:
        if isinstance(self.num_neighbours, tuple) and len(self.num_neighbours) != len(self.blocks):
            raise ValueError(
                f"num_neighbours has {len(self.num_neighbours)} numbers for {len(self.blocks)} blocks; give "
                "one, or one for each block"
            )
        return self

    @property
    def neighbours(self) -> tuple[int, ...]:
        """K of each block."""
        many = self.num_neighbours
        return many if isinstance(many, tuple) else (many,) * len(self.blocks)

    @property
    def width(self) -> int:
        """D, the size of the feature vectors."""
        return self.fusion or self.blocks[-1][-1]


class ParticleNet(Backbone):
    """ParticleNet.

    `pooled_BD` is the mean over the constituents. The published network has a hidden layer behind it, which
    is the head's: ``head: {name: classify, hidden: [256], dropout: 0.1}``; with it, 17 features and ten
    classes it has 370,156 parameters. The size ``"xs"`` is the paper's ParticleNet-Lite.

    The network has no embedding: `embed` gives the normalised features, with zeros up to the size D behind
    them. It always works in single precision: neighbours are those of the vectors that the block before
    makes, and rounded vectors have others.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent, D at most; the columns ``config.points`` must be among them.

    Raises
    ------
    IncompatibleError
        When a column of `points` is missing, or there are more features than D.
    """

    Config: ClassVar[type[Config]] = ParticleNetConfig
    supports = frozenset({"embedding"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"blocks": ((32, 32, 32), (64, 64, 64)), "num_neighbours": 7},
        "s": {},
        "m": {"blocks": ((128, 128, 128), (256, 256, 256), (512, 512, 512))},
    }

    def __init__(self, config: ParticleNetConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.num_features = len(feature_names)
        _check_features(config, feature_names)
        self.points = [list(feature_names).index(name) for name in config.points]
        self.norm = BatchNorm(self.num_features) if config.input_norm else None
        self.embedding: nn.Module | None = None
        inputs = (self.num_features, *(widths[-1] for widths in config.blocks))
        self.blocks: Layers[EdgeBlock] = Layers(
            [
                EdgeBlock(size, widths, num_neighbours=many)
                for size, widths, many in zip(inputs, config.blocks, config.neighbours, strict=False)
            ]
        )
        self.fusion = FusionBlock(sum(inputs[1:]), config.fusion) if config.fusion else None
        self.dropout = nn.Dropout(config.dropout)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return the normalised features and zeros, (B, N, D); see `Backbone.embed`."""
        with torch.autocast(x_BNF.device.type, enabled=False):
            x_BNF = at_least_single(x_BNF)
            if self.embedding is not None:
                h_BND: Tensor = self.embedding(x_BNF)
                return h_BND
            if self.norm is not None:
                x_BNF = self.norm(x_BNF, mask_BN)
            return F.pad(x_BNF * mask_BN[..., None], (0, self.width - self.num_features))

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Give the first block vectors of size D in place of the normalised features."""
        self.embedding, self.norm, self.num_features = embedding, None, self.width
        first = next(iter(self.config.blocks)), self.config.neighbours[0]
        self.blocks[0] = EdgeBlock(self.width, first[0], num_neighbours=first[1])

    def encode(
        self,
        h_BND: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
    ) -> Features:
        """Return the constituents after the last block and their mean; see `Backbone.encode`."""
        assert physical_BNF is not None
        packing = Packing.of(mask_BN)
        with torch.autocast(h_BND.device.type, enabled=False):
            x_BNC = at_least_single(h_BND)[..., : self.num_features] * mask_BN[..., None]
            points_BNP, parts = at_least_single(physical_BNF)[..., self.points], []
            for block in self.blocks:
                x_BNC = self.dropout(block(x_BNC, points_BNP, packing))
                points_BNP = x_BNC
                parts.append(x_BNC)
            if self.fusion is not None:
                x_BNC = self.fusion(parts, packing)
            return Features(x_BNC, masked_mean(x_BNC, mask_BN))

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the input normalisation or embedding, each block, the fusion, where there are these."""
        parts = (self.norm, self.embedding, *self.blocks, self.fusion)
        return [list(part.parameters()) for part in parts if part is not None]


def _check_features(config: ParticleNetConfig, names: Sequence[str]) -> None:
    missing = [name for name in config.points if name not in names]
    if missing:
        raise IncompatibleError(
            f"the particlenet backbone finds neighbours in {', '.join(config.points)}, but the features lack "
            f"{', '.join(missing)} (they are {', '.join(names)}); use a feature set that has them, e.g. kin, "
            "or other points"
        )
    if len(names) > config.width:
        raise IncompatibleError(
            f"the particlenet backbone has a width of {config.width}, less than the {len(names)} features; "
            "use a larger size"
        )
