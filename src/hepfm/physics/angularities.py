"""Angularities of jets: how far their constituents lie from the axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hepfm.physics.kinematics import delta_r, rapidity

Floats = npt.NDArray[np.floating]


def angularities(
    p4: Floats, lengths: npt.NDArray[np.int64], *, radius: float, betas: Sequence[float]
) -> Floats:
    """Return angularities (1408.3122) of jets given by their constituents.

    lambda_beta = sum_i z_i (Delta R_i / R)^beta, with z_i the share in the sum of the constituents' pT and
    Delta R_i the distance in rapidity and azimuth from the jet's momentum (E scheme). With beta 1/2 it is the
    Les Houches angularity, with beta 1 the width.

    Parameters
    ----------
    p4
        (E, px, py, pz) in GeV of the constituents, one jet after the other, shape (n, 4).
    lengths
        Number of constituents of each jet, at least 1, shape (J,).
    radius
        Jet radius R.
    betas
        B exponents.

    Returns
    -------
    Shape (J, B).
    """
    jet = np.repeat(np.arange(len(lengths)), lengths)

    def total(values: Floats) -> Floats:
        return np.bincount(jet, values, minlength=len(lengths)).astype(np.float64)

    energy, px, py, pz = (total(component) for component in p4.T)
    axis = rapidity(pz, energy)[jet], np.arctan2(py, px)[jet]
    pt = np.hypot(p4[:, 1], p4[:, 2])
    distance = delta_r(rapidity(p4[:, 3], p4[:, 0]), np.arctan2(p4[:, 2], p4[:, 1]), *axis) / radius
    return np.stack([total(pt * distance**beta) / total(pt) for beta in betas], axis=-1)


SMALLEST_LN_RHO = -14.0
"""ln rho of jets whose groomed mass is 0 or nearly so."""


def ln_rho(groomed_mass: Floats, pt: Floats) -> Floats:
    """Return 2 ln(groomed mass / pt), at least `SMALLEST_LN_RHO`, shape (R,).

    Jets that are groomed down to one constituent have a groomed mass of 0, which has no logarithm.
    """
    ratio = np.divide(groomed_mass, pt, out=np.zeros_like(pt), where=pt > 0)
    return np.asarray(2 * np.log(np.maximum(ratio, np.exp(SMALLEST_LN_RHO / 2))))


def tau21(tau2: Floats, width: Floats) -> Floats:
    """Return 2-subjettiness over width (1-subjettiness about the jet's own axis), 0 for jets of width 0,
    shape (R,)."""
    return np.divide(tau2, width, out=np.zeros_like(width), where=width > 0)
