"""Nearest neighbours of the constituents of a row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn.packing import Packing
from hepfm.nn.precision import at_least_single

_FEW = 4
"""Coordinates up to which differences are taken one by one, which is exact and holds no large array."""


@dataclass(frozen=True)
class Neighbours:
    """The K nearest constituents of every packed constituent.

    Attributes
    ----------
    slot_TK
        Their flat positions in the padded layout, row * N + constituent.
    mask_TK
        True = real; a row of n constituents has n - 1 of them at most.
    """

    slot_TK: Tensor
    mask_TK: Tensor


@torch.no_grad()
def nearest_neighbours(
    points_BNC: Tensor, packing: Packing, num: int, *, periodic: bool = False
) -> Neighbours:
    """Find the nearest constituents of the same row, itself left out; coincident ones are neighbours.

    Equally distant constituents at the end of the list are chosen arbitrarily.

    Parameters
    ----------
    points_BNC
        Coordinates.
    packing
        Which are real.
    num
        K.
    periodic
        Whether the last coordinate is an azimuth, of which differences are taken around the circle.
    """
    mask_BN = packing.mask_BN
    rows, length = mask_BN.shape
    distance_BNN = _around_the_beam(points_BNC) if periodic else _squared_distances(points_BNC)
    barred_BNN = ~mask_BN[:, None] | torch.eye(length, dtype=torch.bool, device=mask_BN.device)
    distance_BNN = distance_BNN.masked_fill(barred_BNN, torch.inf)
    # Empty slots behind the last make sure that every row has K of them.
    distance, index = F.pad(distance_BNN, (0, num), value=torch.inf).topk(num, dim=-1, largest=False)
    start_B11 = torch.arange(rows, device=mask_BN.device)[:, None, None] * length
    slot_BNK = start_B11 + index.clamp(max=max(length - 1, 0))
    mask_BNK = distance.isfinite() & mask_BN[..., None]
    return Neighbours(packing.pack(slot_BNK), packing.pack(mask_BNK))


def _around_the_beam(points_BNC: Tensor) -> Tensor:
    """Return the squared distances of all pairs, (B, N, N), with an azimuth as the last coordinate."""
    difference_BNNC = points_BNC[:, :, None] - points_BNC[:, None]
    azimuth_BNN = difference_BNNC[..., -1]
    azimuth_BNN = azimuth_BNN - 2 * math.pi * (azimuth_BNN / (2 * math.pi)).round()
    return difference_BNNC[..., :-1].square().sum(-1) + azimuth_BNN.square()


def _squared_distances(points_BNC: Tensor) -> Tensor:
    """Return the squared distances of all pairs, (B, N, N), in single precision at least."""
    if points_BNC.shape[-1] <= _FEW:
        return (points_BNC[:, :, None] - points_BNC[:, None]).square().sum(-1)
    with torch.autocast(points_BNC.device.type, enabled=False):
        x_BNC = at_least_single(points_BNC)
        square_BN = x_BNC.square().sum(-1)
        return square_BN[:, :, None] + square_BN[:, None] - 2 * x_BNC @ x_BNC.mT
