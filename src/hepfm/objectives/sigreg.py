"""SIGReg: how far a set of vectors is from a standard Gaussian, along random directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hepfm.objectives.loss import Term

KNOTS, LARGEST = 17, 3.0
"""Points of the integral over [0, 3], doubled by symmetry, as in LeJEPA's public minimal example."""


def epps_pulley(waves_ST2: Tensor, count: Tensor) -> Tensor:
    """Return the Epps-Pulley statistic of S samples against N(0, 1), (S,).

    With the empirical characteristic function phi_B of B numbers it is
    ``B * integral |phi_B(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt`` over [-3, 3], by the trapezoidal rule
    (LeJEPA, 2511.08544).

    Parameters
    ----------
    waves_ST2
        Real and imaginary part of phi_B at the knots: mean cosine and sine.
    count
        B.
    """
    knot_T = _knots(waves_ST2.device)
    window_T = (-0.5 * knot_T.square()).exp()
    real_ST, imaginary_ST = waves_ST2.unbind(-1)
    error_ST = ((real_ST - window_T).square() + imaginary_ST.square()) * window_T
    return 2 * count * torch.trapezoid(error_ST, knot_T, dim=-1)


def sigreg(vectors: Sequence[Tensor], *, directions: int, generator: torch.Generator) -> Term:
    """Return the mean statistic of the projections of sets of vectors, (B, E) each, on random unit vectors.

    For vectors drawn from a standard Gaussian it does not depend on their number; for any other distribution
    it grows with it. The term sums cosines and sines over the rows of a part, so that the statistic is that
    of the whole step.
    """
    size, device = vectors[0].shape[1], vectors[0].device
    axis_ES = torch.randn(size, directions, generator=generator, device=device)
    with torch.autocast(device.type, enabled=False):
        sums = [_waves(vector.float() @ (axis_ES / axis_ES.norm(dim=0))) for vector in vectors]
    count = axis_ES.new_tensor(float(len(vectors[0])))
    return Term(torch.cat(sums), count, statistic=_mean_statistic)


def _mean_statistic(waves_ST2: Tensor, count: Tensor) -> Tensor:
    return epps_pulley(waves_ST2, count).mean()


def _waves(x_BS: Tensor) -> Tensor:
    """Return the sums of cosines and sines at the knots, (S, T, 2)."""
    angle_BST = x_BS[..., None] * _knots(x_BS.device)
    return torch.stack([angle_BST.cos().sum(0), angle_BST.sin().sum(0)], dim=-1)


def _knots(device: torch.device) -> Tensor:
    return torch.linspace(0.0, LARGEST, KNOTS, device=device)
