"""Edges of fully connected graphs: every ordered pair of different constituents of a row, and no other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn.packing import Packing, rows_to_add


@dataclass(frozen=True)
class GraphEdges:
    """E edges between packed constituents, target after target; the last few may be empty.

    Attributes
    ----------
    target_E, source_E
        Positions among the T packed constituents; of an empty edge they are arbitrary.
    real_E
        False for an empty edge.
    count
        Number of edges in front of those that fill the tensors up; None where empty ones stand in between, as
        compilers and exporters need.
    row_T
        Row of each packed constituent; of an empty place it is arbitrary.
    real_T
        False for an empty place.
    size_B
        Number of constituents of each row, int64.
    """

    target_E: Tensor
    source_E: Tensor
    real_E: Tensor
    count: int | None
    row_T: Tensor
    real_T: Tensor
    size_B: Tensor

    @classmethod
    def of(cls, packing: Packing) -> GraphEdges:
        """Return the edges of the rows of a packing."""
        rows, length = packing.mask_BN.shape
        size_B = packing.mask_BN.sum(1)
        place_BN = torch.arange(rows * length, device=packing.mask_BN.device).view(rows, length)
        different_NN = ~torch.eye(length, dtype=torch.bool, device=packing.mask_BN.device)
        real_BNN = packing.mask_BN[:, :, None] & packing.mask_BN[:, None, :] & different_NN
        if packing.index_M is None:
            target_BNN, source_BNN = place_BN[:, :, None], place_BN[:, None, :]
            target_E, source_E = (place.expand_as(real_BNN).flatten() for place in (target_BNN, source_BNN))
            row_T = place_BN.flatten() // length
            return cls(target_E, source_E, real_BNN.flatten(), None, row_T, packing.real_T, size_B)
        row, i, j = real_BNN.nonzero(as_tuple=True)
        packed_BN = packing.mask_BN.flatten().cumsum(0).view(rows, length) - 1
        count, real_T = len(row), packing.real_T
        empty = rows_to_add(count)
        target_E, source_E = (F.pad(packed_BN[row, place], (0, empty)) for place in (i, j))
        real_E = torch.arange(count + empty, device=row.device) < count
        row_T = F.pad(packing.index_M // length, (0, len(real_T) - len(packing.index_M)))
        return cls(target_E, source_E, real_E, count, row_T, real_T, size_B)

    def to_targets(self, x_EC: Tensor) -> Tensor:
        """Return the sum over the edges of each target, (T, C); zero without any."""
        used_EC = x_EC * self.real_E[:, None] if self.count is None else x_EC[: self.count]
        sums_TC = used_EC.new_zeros(self.row_T.shape[0], x_EC.shape[1])
        return sums_TC.index_add(0, self.target_E[: self.count], used_EC)

    def to_rows(self, x_TC: Tensor) -> Tensor:
        """Return the sum over the constituents of each row, (B, C); zero without any."""
        sums_BC = x_TC.new_zeros(self.size_B.shape[0], x_TC.shape[1])
        return sums_BC.index_add(0, self.row_T, x_TC * self.real_T[:, None])


@torch.no_grad()
def geometry(eta_T: Tensor, phase_T2: Tensor, edges: GraphEdges) -> Tensor:
    """Return d eta, d phi in (-pi, pi] and dR of the edges, source less target, (E, 3); no gradient.

    Parameters
    ----------
    eta_T
        Pseudorapidity, of any origin.
    phase_T2
        Sine and cosine of the azimuth, of any origin, times any positive number.
    edges
        The edges.
    """
    table_T3 = torch.cat((eta_T[:, None], phase_T2), dim=1)
    target, source = (table_T3.index_select(0, place).unbind(1) for place in (edges.target_E, edges.source_E))
    deta_E = source[0] - target[0]
    sine_E = source[1] * target[2] - source[2] * target[1]
    cosine_E = source[2] * target[2] + source[1] * target[1]
    dphi_E = torch.atan2(sine_E, cosine_E)
    return torch.stack((deta_E, dphi_E, (deta_E.square() + dphi_E.square()).sqrt()), dim=1)
