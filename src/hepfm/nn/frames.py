"""Frames of rows: boosts that bring momenta to where they are the same in any frame of the data."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Frame = Literal["longitudinal", "rest"]

_SMALLEST = 1e-3
"""Floor of a row's transverse mass and mass (GeV), by which its velocity stays below that of light."""


def row_frame(p4_BN4: Tensor, frame: Frame) -> Tensor:
    """Return the Lorentz transformation of each row to its own frame, (B, 4, 4); apply it with `transform`.

    Momenta come in a frame of arbitrary azimuth and boost along the beam
    (`hepfm.core.batch.Batch.p4_BN4`). In the row's own frame nothing is left of the boost, and only a common
    rotation about the beam of the azimuth. A row without constituents stays where it is.

    Parameters
    ----------
    p4_BN4
        Four-momenta (E, px, py, pz) in GeV, zero in padding, in double precision: the mass of a row is a
        small difference.
    frame
        ``"longitudinal"``: boosted along the beam, so that the row has no momentum along it. ``"rest"``: from
        there boosted across the beam, so that the row is at rest.
    """
    total_B4 = p4_BN4.sum(1)
    energy_B, pz_B = total_B4[:, 0], total_B4[:, 3]
    transverse_mass_B = _root(energy_B.square() - pz_B.square())
    zero_B = torch.zeros_like(pz_B)
    along_B44 = boost(torch.stack((zero_B, zero_B, pz_B / transverse_mass_B), dim=-1))
    if frame == "longitudinal":
        return along_B44
    px_B, py_B = total_B4[:, 1], total_B4[:, 2]
    # The row's energy in the new frame is its transverse mass.
    mass_B = _root(transverse_mass_B.square() - px_B.square() - py_B.square())
    across_B44 = boost(torch.stack((px_B / mass_B, py_B / mass_B, zero_B), dim=-1))
    return across_B44 @ along_B44


def _root(square_B: Tensor) -> Tensor:
    return square_B.clamp(min=_SMALLEST**2).sqrt()


def boost(u_B3: Tensor) -> Tensor:
    """Return the boost to the frame that moves with velocity times Lorentz factor `u`, (B, 4, 4).

    The inverse is the boost of ``-u``.
    """
    gamma_B = (1 + u_B3.square().sum(-1)).sqrt()
    space_B33 = (
        torch.eye(3, dtype=u_B3.dtype, device=u_B3.device)
        + u_B3[:, :, None] * u_B3[:, None, :] / (1 + gamma_B)[:, None, None]
    )
    time_B14 = torch.cat((gamma_B[:, None], -u_B3), dim=-1)[:, None]
    return torch.cat((time_B14, torch.cat((-u_B3[:, :, None], space_B33), dim=-1)), dim=1)


def inverse(frame_B44: Tensor) -> Tensor:
    """Return the inverse of Lorentz transformations: the transpose between two metrics."""
    metric_4 = frame_B44.new_tensor([1.0, -1.0, -1.0, -1.0])
    return metric_4[:, None] * frame_B44.transpose(-1, -2) * metric_4


def transform(frame_B44: Tensor, vectors_BNV4: Tensor) -> Tensor:
    """Return the vectors (..., 4) of each row in another frame; the rows are the first dimension."""
    rows_BM4 = vectors_BNV4.flatten(1, -2)
    return (rows_BM4 @ frame_B44.transpose(-1, -2)).view(vectors_BNV4.shape)


def at_least_mass(p4_BN4: Tensor, mass: float) -> Tensor:
    """Return momenta whose energy is raised where the mass is below the given one (GeV), also if imaginary.

    Physical momenta of this mass or a greater one stay as they are.
    """
    momentum2_BN = p4_BN4[..., 1:].square().sum(-1)
    energy_BN = p4_BN4[..., 0].clamp(min=0)
    least_BN = (momentum2_BN + mass**2).sqrt()
    return torch.cat((torch.maximum(energy_BN, least_BN)[..., None], p4_BN4[..., 1:]), dim=-1)
