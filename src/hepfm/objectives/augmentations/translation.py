"""Translation: all constituents of a row shifted in eta and phi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core import config
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.augmentations.base import Augmentation
from hepfm.objectives.augmentations.geometry import directions, moved


class TranslationConfig(config.Config):
    """Options of `Translation`.

    Attributes
    ----------
    largest
        Largest shift over the extent of the row's constituents in that direction.
    """

    largest: float = pydantic.Field(1.0, gt=0)


class Translation(Augmentation[TranslationConfig]):
    """Shift all constituents alike, in eta and in phi, by up to their own extent (JetCLR, 2108.04253)."""

    Config: ClassVar[type[config.Config]] = TranslationConfig

    def __call__(self, batch: Batch, draws: Draws, name: str, feature_names: Sequence[str]) -> Batch:
        """Return the rows shifted."""
        draw_B2 = 2 * draws.rows(batch.rows_B).uniform(f"{name}.shift", 2) - 1
        draw_B2 = (draw_B2 * self.config.largest).to(batch.features_BNF.dtype)
        deta, dphi = directions(batch, feature_names)
        new_deta, new_dphi = (
            values + draw_B2[:, place, None] * _extent(values, batch.mask_BN)
            for place, values in enumerate((deta, dphi))
        )
        return moved(batch, new_deta, new_dphi, feature_names)


def _extent(values_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the distance of the largest from the smallest value of each row, (B, 1); 0 without any."""
    largest_B1 = values_BN.masked_fill(~mask_BN, -torch.inf).amax(1, keepdim=True)
    smallest_B1 = values_BN.masked_fill(~mask_BN, torch.inf).amin(1, keepdim=True)
    return torch.where(mask_BN.any(1, keepdim=True), largest_B1 - smallest_B1, 0.0)
