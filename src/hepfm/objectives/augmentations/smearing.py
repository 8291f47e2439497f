"""Smearing: directions of constituents at random, those of soft ones most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pydantic

from hepfm.core import config
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.augmentations.base import Augmentation
from hepfm.objectives.augmentations.geometry import directions, moved, transverse_momentum

_SMALLEST = 1e-8
"""Least pt of a row, GeV: rows may have no constituents."""


class SmearingConfig(config.Config):
    """Options of `Smearing`.

    Attributes
    ----------
    scale
        A constituent of this pt is smeared by 1 in eta and in phi; 0.1 GeV in 2108.04253.
    softest
        Those below this pt are smeared like one of it.
    unit
        Of both: ``"GeV"``, or ``"row"``, the sum of the pt of the row's constituents.
    """

    scale: float = pydantic.Field(0.1, gt=0)
    softest: float = pydantic.Field(0.1, gt=0)
    unit: Literal["GeV", "row"] = "GeV"


class Smearing(Augmentation[SmearingConfig]):
    """Add Gaussian noise of width ``scale / pt`` to eta and phi of each constituent (JetCLR, 2108.04253)."""

    Config: ClassVar[type[config.Config]] = SmearingConfig

    def __call__(self, batch: Batch, draws: Draws, name: str, feature_names: Sequence[str]) -> Batch:
        """Return the rows smeared."""
        pt_BN = transverse_momentum(batch) * batch.mask_BN
        if self.config.unit == "row":
            pt_BN = pt_BN / pt_BN.sum(1, keepdim=True).clamp(min=_SMALLEST)
        width_BN = self.config.scale / pt_BN.clamp(min=self.config.softest)
        rows, length = draws.rows(batch.rows_B), batch.mask_BN.shape[1]
        deta, dphi = directions(batch, feature_names)
        return moved(
            batch,
            deta + width_BN * rows.normal(f"{name}.eta", length) * batch.mask_BN,
            dphi + width_BN * rows.normal(f"{name}.phi", length) * batch.mask_BN,
            feature_names,
        )
