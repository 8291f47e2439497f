"""Rotation: all constituents of a row turned about its axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import pydantic

from hepfm.core import config
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.augmentations.base import Augmentation
from hepfm.objectives.augmentations.geometry import directions, moved


class RotationConfig(config.Config):
    """Options of `Rotation`.

    Attributes
    ----------
    largest
        Largest angle, rad; angles are drawn evenly up to it, to both sides. By default all angles.
    """

    largest: float = pydantic.Field(math.pi, gt=0, le=math.pi)


class Rotation(Augmentation[RotationConfig]):
    """Turn all constituents in the (deta, dphi) plane by one random angle a row (JetCLR, 2108.04253)."""

    Config: ClassVar[type[config.Config]] = RotationConfig

    def __call__(self, batch: Batch, draws: Draws, name: str, feature_names: Sequence[str]) -> Batch:
        """Return the rows turned."""
        draw_B = draws.rows(batch.rows_B).uniform(f"{name}.angle")
        angle_B1 = ((2 * draw_B - 1) * self.config.largest).to(batch.features_BNF.dtype)[:, None]
        deta, dphi = directions(batch, feature_names)
        return moved(
            batch,
            deta * angle_B1.cos() - dphi * angle_B1.sin(),
            deta * angle_B1.sin() + dphi * angle_B1.cos(),
            feature_names,
        )
