"""Kinematics of four-momenta as plain arrays: GeV, rad, metric (+,-,-,-), phi in (-pi, pi]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def wrap_phi(phi: Floats) -> Floats:
    """Bring an angle into (-pi, pi].

    >>> bool(np.isclose(wrap_phi(np.array(3 * np.pi)), np.pi))
    True
    """
    return np.pi - np.mod(np.pi - phi, 2 * np.pi)


def pseudorapidity(px: Floats, py: Floats, pz: Floats) -> Floats:
    """Return eta of a direction; 0 where the transverse and longitudinal parts both vanish.

    Along the beam axis eta is infinite, with the sign of `pz`.
    """
    transverse = np.hypot(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(pz == 0, 0.0, np.arcsinh(pz / transverse))


def rapidity(pz: Floats, energy: Floats) -> Floats:
    """Return y = atanh(pz / E); 0 where the energy is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(energy == 0, 0.0, np.arctanh(pz / energy))


def energy_of(pt: Floats, eta: Floats, mass: Floats) -> Floats:
    """Return the energy of a particle of this pT, eta and mass."""
    return np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)


def four_momentum(pt: Floats, eta: Floats, phi: Floats, energy: Floats) -> Floats:
    """Return (E, px, py, pz), stacked in a new last axis.

    >>> four_momentum(np.array(2.0), np.array(0.0), np.array(0.0), np.array(3.0)).tolist()
    [3.0, 2.0, 0.0, 0.0]
    """
    return np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


def mass_of(p4: Floats) -> Floats:
    """Return the invariant mass of (E, px, py, pz) in the last axis; negative squares (rounding) give 0."""
    squared = p4[..., 0] ** 2 - p4[..., 1] ** 2 - p4[..., 2] ** 2 - p4[..., 3] ** 2
    return np.sqrt(np.maximum(squared, 0.0))


def delta_r(eta_a: Floats, phi_a: Floats, eta_b: Floats, phi_b: Floats) -> Floats:
    """Return the distance in the (eta, phi) plane."""
    return np.hypot(eta_a - eta_b, wrap_phi(phi_a - phi_b))
