"""Copies of a batch that show only some constituents of each row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hepfm.core.batch import Batch


@dataclass(frozen=True)
class Places:
    """Where chosen constituents stand: those chosen first and in their order, cut to the longest row.

    Attributes
    ----------
    index_BM
        Positions in the row.
    mask_BM
        True where one was chosen.
    """

    index_BM: Tensor
    mask_BM: Tensor

    @classmethod
    def of(cls, chosen_BN: Tensor) -> Places:
        """Return the places of the chosen constituents; at least one column wide."""
        count_B = chosen_BN.sum(1)
        width = max(int(count_B.max()), 1) if len(count_B) else 1
        order_BN = torch.argsort((~chosen_BN).to(torch.uint8), dim=1, stable=True)
        index_BM = order_BN[:, :width]
        return cls(index_BM, torch.arange(width, device=index_BM.device) < count_B[:, None])

    def take(self, values_BNF: Tensor) -> Tensor:
        """Return the chosen values, (B, M, F), zero where none was chosen."""
        index_BMF = self.index_BM[..., None].expand(-1, -1, values_BNF.shape[-1])
        return values_BNF.gather(1, index_BMF) * self.mask_BM[..., None]


def random_ranks(mask_BN: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random order, from 0, of each row's real constituents; padding comes last without draws."""
    score_BN = torch.full(mask_BN.shape, 2.0, device=mask_BN.device)
    score_BN[mask_BN] = torch.rand(int(mask_BN.sum()), generator=generator, device=mask_BN.device)
    return score_BN.argsort(dim=1, stable=True).argsort(dim=1)


def show(batch: Batch, chosen_BN: Tensor) -> Batch:
    """Return the batch with only the chosen constituents; all that belongs to the row stays."""
    places = Places.of(chosen_BN)
    return replace(
        batch,
        features_BNF=places.take(batch.features_BNF),
        mask_BN=places.mask_BM,
        p4_BN4=None if batch.p4_BN4 is None else places.take(batch.p4_BN4),
    )
