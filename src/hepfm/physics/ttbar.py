"""Top-quark pairs of which both tops decay to a lepton: reconstruction from what a detector sees.

`reconstruct` solves the neutrinos (`hepfm.physics.neutrino_pairs`) for both ways to pair two b jets with the
two leptons, and chooses one solution. Momenta are (E, px, py, pz), GeV; the lepton of the top is the positive
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array
from hepfm.physics.kinematics import delta_r, mass_of, pseudorapidity
from hepfm.physics.neutrino_pairs import neutrino_pairs

TOP_MASS, W_MASS = 172.5, 80.4
"""Masses that solutions have: what Pythia and most simulations of the LHC take, rounded (GeV)."""

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Choice = Literal["smallest_mass", "lepton_bottom_mass"]
"""Which solution is taken: that of the smallest mass of the top pair; or, of those of the pairing with the
smaller sum of the masses of lepton and b jet, the same."""


@dataclass(frozen=True)
class DileptonEvents:
    """What is known of R events.

    Attributes
    ----------
    jets
        The two b jets, (R, 2, 4), in any order.
    leptons
        The positive and the negative lepton, (R, 2, 4).
    missing
        Missing transverse momentum (px, py), (R, 2).
    complete
        Boolean (R,): False for events without two jets, two leptons of opposite charge, or missing momentum,
        whose numbers are arbitrary.
    """

    jets: Array
    leptons: Array
    missing: Array
    complete: Bools


@dataclass(frozen=True)
class TopSolutions:
    """The chosen solution of each event; NaN where there is none.

    Attributes
    ----------
    bottoms, neutrinos
        Of top and antitop, (R, 2, 4).
    pairing
        Which of the two jets is the top's: 0 or 1, (R,); -1 where there is no solution.
    solved
        Boolean (R,).
    """

    bottoms: Array
    neutrinos: Array
    pairing: Ints
    solved: Bools


def reconstruct(
    events: DileptonEvents,
    *,
    choice: Choice = "smallest_mass",
    top_mass: float = TOP_MASS,
    w_mass: float = W_MASS,
    smearing: Array | None = None,
) -> TopSolutions:
    """Return one solution of each event that has any.

    Parameters
    ----------
    events
        The events.
    choice
        Which solution is taken.
    top_mass, w_mass
        Masses that the solutions have.
    smearing
        Factors of the momenta of both jets in A further attempts, (A, R, 2); what they add to the jets is
        taken from the missing momentum. An attempt is made for events without a solution so far. None makes
        one attempt, with the momenta as they are.
    """
    best = _solve(events, choice, top_mass, w_mass)
    for factors in () if smearing is None else smearing:
        rows = np.flatnonzero(events.complete & ~best.solved)
        again = _solve(_smeared(events, rows, factors[rows]), choice, top_mass, w_mass)
        for found, new in zip(_parts(best), _parts(again), strict=True):
            found[rows] = new
    return best


def _parts(solutions: TopSolutions) -> tuple[Array, ...]:
    return solutions.bottoms, solutions.neutrinos, solutions.pairing, solutions.solved


def _smeared(events: DileptonEvents, rows: Ints, factors: Array) -> DileptonEvents:
    jets = events.jets[rows] * factors[..., None]
    missing = events.missing[rows] - (jets - events.jets[rows])[..., 1:3].sum(1)
    return DileptonEvents(jets, events.leptons[rows], missing, events.complete[rows])


def _solve(events: DileptonEvents, choice: Choice, top_mass: float, w_mass: float) -> TopSolutions:
    rows = np.arange(len(events.complete))
    masses, pairs = [], []
    for jets in _pairings(events):
        momenta, found = neutrino_pairs(
            jets, events.leptons, events.missing, top_mass=top_mass, w_mass=w_mass
        )
        whole = momenta.sum(2) + (jets + events.leptons).sum(1)[:, None]
        with np.errstate(invalid="ignore"):
            masses.append(np.where(found & events.complete[:, None], mass_of(whole), np.inf))
        pairs.append(momenta)
    mass, momentum = np.stack(masses, axis=1), np.stack(pairs, axis=1)
    if choice == "lepton_bottom_mass":
        mass = _preferred(events, mass)
    best = mass.reshape(len(rows), mass.shape[1] * mass.shape[2]).argmin(1)
    pairing, number = np.divmod(best, mass.shape[2])
    solved = np.isfinite(mass[rows, pairing, number])
    bottoms = np.where(pairing[:, None, None] == 0, events.jets, events.jets[:, ::-1])
    return TopSolutions(
        np.where(solved[:, None, None], bottoms, np.nan),
        np.where(solved[:, None, None], momentum[rows, pairing, number], np.nan),
        np.where(solved, pairing, -1),
        solved,
    )


def _pairings(events: DileptonEvents) -> tuple[Array, Array]:
    """Return the b jets of top and antitop in both pairings, (R, 2, 4)."""
    return events.jets, events.jets[:, ::-1]


def _preferred(events: DileptonEvents, mass: Array) -> Array:
    """Return the masses with those of the less likely pairing infinite, where the other has any."""
    likely = likelier_pairing(events)[:, None] == np.arange(2)
    has = (np.isfinite(mass).any(2) & likely).any(1)
    out: Array = np.where(has[:, None, None] & ~likely[..., None], np.inf, mass)
    return out


def likelier_pairing(events: DileptonEvents) -> Ints:
    """Return which of the two jets is the top's by the smaller sum of masses of lepton and jet, (R,)."""
    sums = np.stack([mass_of(jets + events.leptons).sum(1) for jets in _pairings(events)], axis=1)
    return sums.argmin(1)


def likelier_bottoms(events: DileptonEvents) -> Array:
    """Return the jets of `likelier_pairing`, that of the top first, (R, 2, 4)."""
    second = likelier_pairing(events)[:, None, None] == 1
    return np.where(second, events.jets[:, ::-1], events.jets)


def shared_missing(missing: Array, leptons: Array, number: Array) -> Array:
    """Return neutrinos that share the missing momentum evenly, each as forward as its lepton, (R, 2, 4).

    Parameters
    ----------
    missing
        Missing transverse momentum (px, py), (R, 2).
    leptons
        The lepton of each neutrino, (R, 2, 4); NaN for none, then the neutrino has no pz.
    number
        How many neutrinos share it, (R,).
    """
    each = np.repeat((missing / number[:, None])[:, None], 2, axis=1)
    pt = np.linalg.norm(each, axis=-1)
    with np.errstate(invalid="ignore"):
        slope = leptons[..., 3] / np.linalg.norm(leptons[..., 1:3], axis=-1)
    pz = pt * np.nan_to_num(slope)
    return np.concatenate([np.hypot(pt, pz)[..., None], each, pz[..., None]], axis=-1)


def nearest_jets(bottoms: Array, jets: Array, mask: Bools) -> Ints:
    """Return the numbers of two different jets that lie nearest to two b quarks, (R, 2); -1 where too few.

    The sum of both distances in (eta, phi) is the smallest.

    Parameters
    ----------
    bottoms
        Predicted momenta of the b quarks of top and antitop, (R, 2, 4).
    jets, mask
        Jets, (R, J, 4), and which are real, (R, J).
    """
    distance = [_distance(bottoms[:, k, None], jets) for k in range(2)]
    total = distance[0][:, :, None] + distance[1][:, None, :]
    allowed: Bools = mask[:, :, None] & mask[:, None, :] & ~np.eye(mask.shape[1], dtype=bool)
    total = np.where(allowed, total, np.inf).reshape(len(mask), mask.shape[1] ** 2)
    if not total.shape[1]:
        return np.full((len(mask), 2), -1)
    pair = np.stack(np.divmod(total.argmin(1), mask.shape[1]), axis=1)
    return np.where(np.asarray(allowed.any((1, 2)))[:, None], pair, -1)


def _distance(first: Array, second: Array) -> Array:
    angles = [
        (pseudorapidity(*np.moveaxis(p[..., 1:], -1, 0)), np.arctan2(p[..., 2], p[..., 1]))
        for p in (first, second)
    ]
    return np.asarray(delta_r(*angles[0], *angles[1]))
