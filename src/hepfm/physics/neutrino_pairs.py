"""The two neutrinos of two leptonic W decays, from the masses of W and top and the missing momentum.

For a b quark and a lepton of one top, the masses of the W and of the top are two linear equations for the
four-momentum of the neutrino, and its own mass of zero a quadratic one: its transverse momentum lies on an
ellipse (B. Betchart et al., 1305.1878). The missing momentum is the sum of both, so that the second ellipse
can be drawn for the first neutrino; the up to four points where they meet are the roots of a quartic, as in
L. Sonnenschein's method (hep-ph/0603011). All is done for many events at once. Units GeV.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array

Bools = npt.NDArray[np.bool_]

ON_CIRCLE = 1e-4
"""How far from the unit circle a root may lie and count as on it: ellipses that miss each other by less than
about this, squared, relative to their size, touch."""

PRECISION = 1e-3
"""How much the energy of a neutrino may differ from its momentum. It does where b quark and lepton have
nearly the same rapidity, and rounding is enhanced."""

_TINY = 1e-300


def neutrino_pairs(
    bottoms: Array,
    leptons: Array,
    missing: Array,
    *,
    top_mass: float | Array,
    w_mass: float | Array,
) -> tuple[Array, Bools]:
    """Return the momenta of both neutrinos, (R, 4, 2, 4), and which of the four solutions exist, (R, 4).

    Parameters
    ----------
    bottoms, leptons
        (E, px, py, pz) of the b quark and the lepton of the top, then of the antitop, shape (R, 2, 4).
    missing
        Transverse momentum (px, py) of both neutrinos, shape (R, 2).
    top_mass, w_mass
        Masses, of all events or of each, shape (R,).

    Where a solution does not exist its numbers are NaN.
    """
    bottoms, leptons = (np.asarray(values, np.float64) for values in (bottoms, leptons))
    missing = np.asarray(missing, np.float64)
    rows = len(missing)
    top, w = (np.broadcast_to(np.asarray(mass, np.float64), (rows,)) for mass in (top_mass, w_mass))
    with np.errstate(all="ignore"):
        first, second = (_Line.of(bottoms[:, k], leptons[:, k], top, w) for k in range(2))
        to_first = _other_neutrino(missing)
        ellipse, real = _unit_circle(first.conic())
        form = _turned(_turned(second.conic(), to_first), ellipse)
        angle, found = _roots(form)
        points = np.stack([np.cos(angle), np.sin(angle), np.ones_like(angle)], axis=-1)
        of_first = np.einsum("rij,rsj->rsi", ellipse, points)
        of_second = np.einsum("rij,rsj->rsi", to_first, of_first)
        pairs = np.stack([first.momentum(of_first), second.momentum(of_second)], axis=2)
        massless = np.abs(pairs[..., 0] / np.linalg.norm(pairs[..., 1:], axis=-1) - 1) < PRECISION
    found &= real[:, None] & massless.all(2)
    pairs[~found] = np.nan
    return pairs, found


class _Line:
    """Energy and pz of a neutrino as linear functions of (px, py, 1), from the masses of W and top."""

    def __init__(self, energy: Array, pz: Array) -> None:
        self.energy, self.pz = energy, pz

    @classmethod
    def of(cls, bottom: Array, lepton: Array, top: Array, w: Array) -> _Line:
        # 2 l.n = mW^2 - ml^2 and 2 b.n = mt^2 - mW^2 - mb^2 - 2 b.l, with Minkowski products.
        ends = (
            (w**2 - _product(lepton, lepton)) / 2,
            (top**2 - w**2 - _product(bottom, bottom)) / 2 - _product(bottom, lepton),
        )
        right = [
            np.stack([p[:, 1], p[:, 2], end], axis=1) for p, end in zip((lepton, bottom), ends, strict=True)
        ]
        # E_l E - l_z z = right_l and the same of b, by Cramer's rule.
        (le, lz), (be, bz) = ((p[:, 0, None], p[:, 3, None]) for p in (lepton, bottom))
        determinant = lz * be - le * bz
        return cls(
            (lz * right[1] - bz * right[0]) / determinant, (le * right[1] - be * right[0]) / determinant
        )

    def conic(self) -> Array:
        """Return the symmetric form that is zero for (px, py, 1) of a massless neutrino, (R, 3, 3)."""
        outer = self.energy[:, :, None] * self.energy[:, None] - self.pz[:, :, None] * self.pz[:, None]
        form: Array = outer - np.diag([1.0, 1.0, 0.0])
        return form

    def momentum(self, point: Array) -> Array:
        """Return (E, px, py, pz) at points (px, py, 1), (R, S, 4)."""
        energy, pz = (np.einsum("ri,rsi->rs", line, point) for line in (self.energy, self.pz))
        return np.stack([energy, point[..., 0], point[..., 1], pz], axis=-1)


def _product(first: Array, second: Array) -> Array:
    product: Array = first[:, 0] * second[:, 0] - (first[:, 1:] * second[:, 1:]).sum(1)
    return product


def _other_neutrino(missing: Array) -> Array:
    """Return the matrix from (px, py, 1) of one neutrino to that of the other, (R, 3, 3)."""
    matrix = np.broadcast_to(np.diag([-1.0, -1.0, 1.0]), (len(missing), 3, 3)).copy()
    matrix[:, :2, 2] = missing
    return matrix


def _turned(form: Array, matrix: Array) -> Array:
    """Return the quadratic form of what the matrix makes of a vector."""
    return np.swapaxes(matrix, 1, 2) @ form @ matrix


def _unit_circle(form: Array) -> tuple[Array, Bools]:
    """Return the matrix from (cos t, sin t, 1) to the points of an ellipse, (R, 3, 3); is it one?"""
    a, b, c = form[:, 0, 0], form[:, 0, 1], form[:, 1, 1]
    determinant = a * c - b**2
    centre = np.stack([b * form[:, 1, 2] - c * form[:, 0, 2], b * form[:, 0, 2] - a * form[:, 1, 2]], axis=1)
    centre = centre / determinant[:, None]
    at_centre = form[:, 2, 2] + (form[:, :2, 2] * centre).sum(1)
    # Points d from the centre fulfil d.A.d = -f(centre): divide, and take the root of the inverse.
    a, b, c = (-value / at_centre for value in (a, b, c))
    real = (determinant > 0) & (a > 0)
    root_a = np.sqrt(np.where(real, a, np.nan))
    root_c = np.sqrt(np.where(real, c - b**2 / a, np.nan))
    matrix = np.zeros_like(form)
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1] = 1 / root_a, -b / (a * root_c), 1 / root_c
    matrix[:, :2, 2], matrix[:, 2, 2] = centre, 1.0
    return matrix, real


def _roots(form: Array) -> tuple[Array, Bools]:
    """Return the angles t at which a form of (cos t, sin t, 1) is zero, (R, 4), and which are real."""
    second = (form[:, 0, 0] - form[:, 1, 1]) / 4 - 0.5j * form[:, 0, 1]
    first = form[:, 0, 2] - 1j * form[:, 1, 2]
    zeroth = (form[:, 0, 0] + form[:, 1, 1]) / 2 + form[:, 2, 2]
    # In z = exp(it) the form is a polynomial of degree four, and real angles are roots on the unit circle.
    good = np.isfinite(second) & np.isfinite(first) & np.isfinite(zeroth) & (np.abs(second) > _TINY)
    lower = np.stack([first, zeroth + 0j, first.conj(), second.conj()], axis=1)
    companion = np.zeros((len(form), 4, 4), np.complex128)
    companion[:, 1:, :3] = np.eye(3)
    companion[good, 0] = -(lower[good] / second[good, None])
    z = np.linalg.eigvals(companion)
    return np.angle(z), good[:, None] & (np.abs(np.abs(z) - 1) < ON_CIRCLE)
