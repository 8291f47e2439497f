"""SIGReg: how far a set of vectors is from a standard Gaussian, along random directions."""

from __future__ import annotations

import torch
from torch import Tensor

KNOTS, LARGEST = 17, 3.0
"""Points of the integral over [0, 3], doubled by symmetry, as in LeJEPA's public minimal example."""


def epps_pulley(x_BS: Tensor) -> Tensor:
    """Return the Epps-Pulley statistic of each column against N(0, 1), (S,).

    With the empirical characteristic function phi_B of the B numbers it is
    ``B * integral |phi_B(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt`` over [-3, 3], by the trapezoidal rule
    (LeJEPA, 2511.08544).
    """
    knot_T = torch.linspace(0.0, LARGEST, KNOTS, device=x_BS.device)
    window_T = (-0.5 * knot_T.square()).exp()
    angle_BST = x_BS[..., None] * knot_T
    real_ST, imaginary_ST = angle_BST.cos().mean(0), angle_BST.sin().mean(0)
    error_ST = ((real_ST - window_T).square() + imaginary_ST.square()) * window_T
    return 2 * len(x_BS) * torch.trapezoid(error_ST, knot_T, dim=-1)


def sigreg(x_BE: Tensor, *, directions: int, generator: torch.Generator) -> Tensor:
    """Return the mean statistic of the vectors' projections on random unit vectors.

    For vectors drawn from a standard Gaussian it does not depend on their number; for any other distribution
    it grows with it.
    """
    axis_ES = torch.randn(x_BE.shape[1], directions, generator=generator, device=x_BE.device)
    with torch.autocast(x_BE.device.type, enabled=False):
        return epps_pulley(x_BE.float() @ (axis_ES / axis_ES.norm(dim=0))).mean()
