"""LeJEPA: two croppings of a row must agree, and all rows together must look Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import pydantic
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.nn.pooling import summary
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.projector import ProjectorConfig, build_projector
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.selection import gather_visible, random_part
from hepfm.objectives.sigreg import sigreg

CROPS = ("crop_1", "crop_2")
"""Names of the two views."""

_Fraction = Annotated[float, pydantic.Field(gt=0, le=1)]


class LeJEPAConfig(BaseConfig):
    """Options of `LeJEPA`.

    Attributes
    ----------
    keep
        Smallest and largest fraction of a row's constituents that a cropping keeps; drawn evenly per row.
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

    keep: tuple[_Fraction, _Fraction] = (0.6, 0.95)
    sigreg_weight: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.05
    directions: pydantic.PositiveInt = 1024
    projector_width: pydantic.PositiveInt = 512
    projector_outputs: pydantic.PositiveInt = 256

    @pydantic.model_validator(mode="after")
    def _check(self) -> LeJEPAConfig:
        if self.keep[0] > self.keep[1]:
            raise ValueError("keep: the smallest fraction comes first")
        return self


class LeJEPA(Objective[LeJEPAConfig]):
    """Joint embedding without teacher or stop-gradient (2511.08544), on croppings of jets (2606.14870).

    Each of two views keeps a random 60 to 95 % of a row's constituents, at least one. A projector turns the
    row's summary into a vector; the loss asks that the two vectors of a row agree and that those of all rows
    look like draws from a standard Gaussian (`hepfm.objectives.sigreg`). That is asked of all rows of a step
    together: jets of one length are no draw from all jets. The rows' weights have no part in it.

    Terms of the loss: ``prediction`` and ``sigreg``.
    """

    Config: ClassVar[type[BaseConfig]] = LeJEPAConfig
    lets_through = (
        "of the constituents that a cropping leaves out the row's axis, the origin of deta and dphi; "
        "context and momenta relative to the row are those of what is left"
    )

    def __init__(self, config: LeJEPAConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        projector = ProjectorConfig(hidden=(config.projector_width,) * 2, outputs=config.projector_outputs)
        self.projector = build_projector(projector, network.backbone.width)

    @classmethod
    def requirements(cls, config: LeJEPAConfig, schema: Schema) -> Requirements:
        """Return that it needs no labels."""
        return Requirements(views=frozenset(CROPS), groups=frozenset({"shown"}))

    @property
    def whole_step(self) -> bool:
        """Whether a term is a statistic of the whole step: SIGReg is."""
        return True

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the two croppings."""
        return {name: self._crop(network, batch, draws, name) for name in CROPS}

    def _crop(self, network: Network, batch: Batch, draws: Draws, name: str) -> View:
        visible_BN, kept_B = random_part(batch, draws, name, keep=self.config.keep)
        return View(gather_visible(batch, visible_BN, network), weight_B=kept_B)

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows for the prediction, 1 for SIGReg."""
        weights_B = row_weights(views[CROPS[0]].batch)
        return {"prediction": weights_B, "sigreg": weights_B.new_ones(len(weights_B))}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the squared distance from the views' mean, and SIGReg of each view."""
        vectors = [self._project(outputs[name]) for name in CROPS]
        mean_BE = (vectors[0] + vectors[1]) / 2
        distance_B = (vectors[0] - mean_BE).square().mean(-1) + (vectors[1] - mean_BE).square().mean(-1)
        weights_B = row_weights(outputs[CROPS[0]].view.batch)
        sigreg_weight = self.config.sigreg_weight
        directions = draws.generator("sigreg.directions", mean_BE.device)
        shape = sigreg(vectors, directions=self.config.directions, generator=directions)
        return Loss(
            {
                "prediction": mean(distance_B / 2, weights_B, weight=1 - sigreg_weight),
                "sigreg": replace(shape, weight=sigreg_weight),
            }
        )

    def _project(self, output: Output) -> Tensor:
        features = output.features
        mask_BN = features.token_mask(output.view.batch.mask_BN)
        row_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN)
        vector_BE: Tensor = self.projector(row_BD)
        return vector_BE.float()
