"""Exact decays of top-quark pairs to two leptons, for tests: every mass is that of the particle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array

TOP, W, BOTTOM = 172.5, 80.4, 4.8


@dataclass(frozen=True)
class TopPairs:
    """Momenta (E, px, py, pz) of what top and antitop decay to, (R, 2, 4) each; the top is the first."""

    bottoms: Array
    leptons: Array
    neutrinos: Array

    @property
    def missing(self) -> Array:
        """Transverse momentum of both neutrinos, (R, 2)."""
        return self.neutrinos.sum(1)[:, 1:3]

    @property
    def tops(self) -> Array:
        """Momenta of both tops, (R, 2, 4)."""
        return self.bottoms + self.leptons + self.neutrinos


def top_pairs(rows: int, *, seed: int = 0, boost: float = 150.0) -> TopPairs:
    """Return pairs whose tops are back to back in the transverse plane, and decay isotropically.

    Parameters
    ----------
    rows
        R, their number.
    seed
        Of the draws.
    boost
        Spread of the momentum of the tops, and of the pair's along the beam (GeV).
    """
    rng = np.random.default_rng(seed)
    transverse = rng.normal(0, boost, (rows, 2))
    recoil = rng.normal(0, 20.0, (rows, 2))
    tops = []
    for sign in (1, -1):
        momentum = np.concatenate([sign * transverse + recoil, rng.normal(0, 2 * boost, (rows, 1))], axis=1)
        tops.append(
            np.concatenate([np.hypot(TOP, np.linalg.norm(momentum, axis=1))[:, None], momentum], axis=1)
        )
    top = np.stack(tops, axis=1)
    bottom, w = _decay(rng, top, TOP, BOTTOM, W)
    lepton, neutrino = _decay(rng, w, W, 0.0, 0.0)
    return TopPairs(bottom, lepton, neutrino)


def _decay(
    rng: np.random.Generator, parent: Array, mass: float, first: float, second: float
) -> tuple[Array, Array]:
    """Return the momenta of two daughters of parents, isotropic at rest."""
    energy = (mass**2 + first**2 - second**2) / (2 * mass)
    direction = rng.normal(size=(*parent.shape[:-1], 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    momentum = np.sqrt(max(energy**2 - first**2, 0.0)) * direction
    at_rest = np.concatenate([np.full((*parent.shape[:-1], 1), energy), momentum], axis=-1)
    one = boosted(at_rest, parent, mass)
    return one, parent - one


def boosted(momentum: Array, frame: Array, mass: float) -> Array:
    """Return momenta given at rest of `frame`, which has this mass, in the frame where it moves."""
    along = (momentum[..., 1:] * frame[..., 1:]).sum(-1)
    energy = (momentum[..., 0] * frame[..., 0] + along) / mass
    shift = (momentum[..., 0] + energy) / (frame[..., 0] + mass)
    return np.concatenate([energy[..., None], momentum[..., 1:] + shift[..., None] * frame[..., 1:]], axis=-1)
