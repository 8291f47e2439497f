"""LeJEPA: two croppings of a row must agree, and all rows together must look Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.schema import Schema
from hepfm.nn.pooling import summary
from hepfm.objectives.base import Loss, Objective, Seen, View
from hepfm.objectives.network import Network
from hepfm.objectives.reduce import row_mean
from hepfm.objectives.sigreg import sigreg
from hepfm.objectives.visible import random_ranks, show

CROPS = ("crop_1", "crop_2")
"""Names of the two views."""

_Share = Annotated[float, pydantic.Field(gt=0, le=1)]


class LeJEPAConfig(BaseConfig):
    """Options of `LeJEPA`.

    Attributes
    ----------
    keep
        Smallest and largest share of a row's constituents that a cropping keeps; drawn evenly per row.
    sigreg_weight
        lambda: the loss is ``(1 - lambda) prediction + lambda SIGReg``; 0.05 in 2511.08544 and in the public
        code of 2606.14870.
    directions
        Random directions of SIGReg per step; 1024 in 2511.08544.
    projector_width
        Hidden size of the projector.
    projector_outputs
        E, size of the vectors that are compared; 256 in the public code of 2606.14870.
    """

    keep: tuple[_Share, _Share] = (0.6, 0.95)
    sigreg_weight: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.05
    directions: pydantic.PositiveInt = 1024
    projector_width: pydantic.PositiveInt = 512
    projector_outputs: pydantic.PositiveInt = 256

    @pydantic.model_validator(mode="after")
    def _check(self) -> LeJEPAConfig:
        if self.keep[0] > self.keep[1]:
            raise ValueError("keep: the smallest share comes first")
        return self


class LeJEPA(Objective):
    """Joint embedding without teacher or stop-gradient (2511.08544), on croppings of jets (2606.14870).

    Each of two views keeps a random 60 to 95 % of a row's constituents, at least one. A projector turns the
    row's summary into a vector; the loss asks that the two vectors of a row agree and that those of all rows
    look like draws from a standard Gaussian (`hepfm.objectives.sigreg`).

    Parts of the loss: ``prediction`` and ``sigreg``.
    """

    Config: ClassVar[type[BaseConfig]] = LeJEPAConfig
    makes: ClassVar[frozenset[str]] = frozenset(CROPS)

    def __init__(self, config: LeJEPAConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: LeJEPAConfig = config
        inner = config.projector_width
        self.projector = nn.Sequential(
            nn.Linear(network.backbone.width, inner),
            nn.LayerNorm(inner),
            nn.GELU(),
            nn.Linear(inner, inner),
            nn.LayerNorm(inner),
            nn.GELU(),
            nn.Linear(inner, config.projector_outputs),
        )

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """Return the two croppings."""
        return {name: self._crop(batch, generator) for name in CROPS}

    def _crop(self, batch: Batch, generator: torch.Generator) -> View:
        least, most = self.config.keep
        drawn_B = torch.rand(len(batch), generator=generator, device=batch.mask_BN.device)
        share_B = least + (most - least) * drawn_B
        count_B = (share_B * batch.mask_BN.sum(1)).round().clamp(min=1)
        kept_BN = random_ranks(batch.mask_BN, generator) < count_B[:, None]
        return View(show(batch, batch.mask_BN & kept_BN), clarity_B=share_B)

    def loss(self, seen: Mapping[str, Seen], generator: torch.Generator) -> Loss:
        """Return the squared distance from the views' mean, and SIGReg of each view."""
        vectors = [self._project(seen[name]) for name in CROPS]
        mean_BE = (vectors[0] + vectors[1]) / 2
        distance_B = (vectors[0] - mean_BE).square().mean(-1) + (vectors[1] - mean_BE).square().mean(-1)
        prediction = row_mean(distance_B / 2, seen[CROPS[0]].view.batch.weights_B)
        shape = torch.stack([self._shape(vector, generator) for vector in vectors]).mean()
        weight = self.config.sigreg_weight
        parts = {"prediction": prediction.detach(), "sigreg": shape.detach()}
        return Loss((1 - weight) * prediction + weight * shape, parts)

    def _project(self, seen: Seen) -> Tensor:
        features = seen.features
        row_BD = summary(features.tokens_BND, features.pooled_BD, seen.view.batch.mask_BN)
        vector_BE: Tensor = self.projector(row_BD)
        return vector_BE.float()

    def _shape(self, vector_BE: Tensor, generator: torch.Generator) -> Tensor:
        return sigreg(vector_BE, directions=self.config.directions, generator=generator)
