"""A learned vector per particle type, from charge and flags."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TYPES = ("h+", "h-", "h0", "photon", "e+", "e-", "mu+", "mu-")
"""The particle types; everything else has the zero vector."""


class ParticleTypes(nn.Module):
    """A vector of charge and type, like an embedding table, but smooth in the columns.

    A charged type is the half sum and half difference of its flag and its flag times charge. A row of zeros,
    an unknown type, gives zero.

    Parameters
    ----------
    width
        D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(len(TYPES), width))

    def forward(self, x_TF: Tensor) -> Tensor:
        """Return vectors (T, D) of charge, then the flags of charged and neutral hadron, photon, e, mu."""
        charge, charged, neutral, photon, electron, muon = x_TF.unbind(-1)
        plus, minus = 0.5 * (1 + charge), 0.5 * (1 - charge)
        types = (
            charged * plus,
            charged * minus,
            neutral,
            photon,
            electron * plus,
            electron * minus,
            muon * plus,
            muon * minus,
        )
        out_TD: Tensor = torch.stack(types, dim=-1) @ self.table
        return out_TD
