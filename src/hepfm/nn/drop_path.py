"""Stochastic depth: whole branches of a block left out for a row (1603.09382)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.packing import Packing


class DropPath(nn.Module):
    """In training leave a branch out for a row, with a probability, and scale it up for the others.

    Parameters
    ----------
    rate
        The probability.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def packed(self, branch_TD: Tensor, packing: Packing) -> Tensor:
        """Return the branch of packed constituents, (T, D); one draw for all constituents of a row."""
        if not self.training or self.rate == 0.0:
            return branch_TD
        mask_BN = packing.mask_BN
        kept_B = torch.rand(len(mask_BN), 1, 1, device=mask_BN.device) >= self.rate
        factor_BN1 = (kept_B / (1 - self.rate)).to(branch_TD.dtype).expand(*mask_BN.shape, 1)
        return branch_TD * packing.pack(factor_BN1)

    def extra_repr(self) -> str:
        """Say the rate in ``repr``."""
        return f"rate={self.rate}"
