"""Cropping: a random part of the constituents of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import pydantic

from hepfm.core import config
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.augmentations.base import Augmentation
from hepfm.objectives.selection import Selection, random_part

Fraction = Annotated[float, pydantic.Field(gt=0, le=1)]


class CroppingConfig(config.Config):
    """Options of `Cropping`.

    Attributes
    ----------
    keep
        Smallest and largest fraction of a row's constituents that is kept; drawn evenly per row.
    """

    keep: tuple[Fraction, Fraction] = (0.6, 0.95)

    @pydantic.model_validator(mode="after")
    def _check(self) -> CroppingConfig:
        if self.keep[0] > self.keep[1]:
            raise ValueError("keep: the smallest fraction comes first")
        return self


class Cropping(Augmentation[CroppingConfig]):
    """Keep a random part of the constituents, at least one, as LeJEPA's views do (2606.14870)."""

    Config: ClassVar[type[config.Config]] = CroppingConfig
    moves: ClassVar[bool] = False

    def __call__(self, batch: Batch, draws: Draws, name: str, feature_names: Sequence[str]) -> Batch:
        """Return the rows with what is kept of them."""
        visible_BN, _ = random_part(batch, draws, name, keep=self.config.keep)
        kept = Selection.of(visible_BN)
        return replace(
            batch,
            features_BNF=kept.gather(batch.features_BNF),
            mask_BN=kept.mask_BM,
            p4_BN4=None if batch.p4_BN4 is None else kept.gather(batch.p4_BN4),
        )
