"""Splitting: constituents in two of the same direction, whose momenta add up to theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core import config
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.augmentations.base import Augmentation
from hepfm.objectives.augmentations.geometry import transverse_momentum
from hepfm.objectives.selection import Selection


class SplittingConfig(config.Config):
    """Options of `Splitting`.

    Attributes
    ----------
    fraction
        Probability with which a constituent is split.
    smallest
        Smallest share of the momentum that one of the two has; shares are drawn evenly from it to 1 - it.
    """

    fraction: float = pydantic.Field(0.5, gt=0, le=1)
    smallest: float = pydantic.Field(0.01, gt=0, lt=0.5)


class Splitting(Augmentation[SplittingConfig]):
    """Split constituents collinearly (JetCLR, 2108.04253): four-momenta of a row add up to what they did.

    Both parts have type, charge and impact parameters of the whole. Constituents are sorted by falling pt
    again; rows become longer, none is cut.
    """

    Config: ClassVar[type[config.Config]] = SplittingConfig

    def __call__(self, batch: Batch, draws: Draws, name: str, feature_names: Sequence[str]) -> Batch:
        """Return the rows with some of their constituents in two."""
        assert batch.p4_BN4 is not None
        rows, length = draws.rows(batch.rows_B), batch.mask_BN.shape[1]
        split_BN = (rows.uniform(f"{name}.split", length) < self.config.fraction) & batch.mask_BN
        low = self.config.smallest
        share_BN = low + (1 - 2 * low) * rows.uniform(f"{name}.share", length).to(batch.p4_BN4.dtype)
        first_BN = torch.where(split_BN, share_BN, 1.0)
        share_BM = torch.cat((first_BN, 1 - share_BN), dim=1)
        return _sorted(
            replace(
                batch,
                mask_BN=torch.cat((batch.mask_BN, split_BN), dim=1),
                features_BNF=_scaled(batch.features_BNF.repeat(1, 2, 1), share_BM, feature_names),
                p4_BN4=batch.p4_BN4.repeat(1, 2, 1) * share_BM[..., None],
            )
        )


def _scaled(features_BMF: Tensor, share_BM: Tensor, feature_names: Sequence[str]) -> Tensor:
    """Return the features of constituents that have a share of their momentum left."""
    features_BMF = features_BMF.clone()
    for name in ("log_pt", "log_energy"):
        if name in feature_names:
            features_BMF[..., list(feature_names).index(name)] += share_BM.log()
    return features_BMF


def _sorted(batch: Batch) -> Batch:
    """Return the rows with their constituents by falling pt, cut to the longest."""
    assert batch.p4_BN4 is not None
    pt_BM = transverse_momentum(batch).masked_fill(~batch.mask_BN, -1.0)
    order_BM = pt_BM.argsort(dim=1, descending=True, stable=True)
    mask_BM = batch.mask_BN.gather(1, order_BM)
    first = Selection.of(mask_BM)

    def ordered(values_BMF: Tensor) -> Tensor:
        return first.gather(values_BMF.gather(1, order_BM[..., None].expand_as(values_BMF)))

    return replace(
        batch,
        features_BNF=ordered(batch.features_BNF),
        mask_BN=first.mask_BM,
        p4_BN4=ordered(batch.p4_BN4),
    )
