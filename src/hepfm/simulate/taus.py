"""Hadronic tau decays of a batch of events, and the jets that they are in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import delta_r, mass_of, pseudorapidity
from hepfm.physics.taus import decay_mode_class
from hepfm.simulate.cards import NEUTRINOS
from hepfm.simulate.labels import last_copy
from hepfm.simulate.particles import Bools, Floats, Ints
from hepfm.simulate.pythia import Record

TAU, PI0 = 15, 111
CHARGED_HADRONS = (211, 321)


@dataclass(frozen=True)
class Taus:
    """Hadronic tau decays.

    Attributes
    ----------
    event
        Event of each, shape (T,).
    mode
        5 (charged hadrons - 1) + neutral pions, shape (T,).
    p4
        (E, px, py, pz) of the visible products in GeV, shape (T, 4).
    """

    event: Ints
    mode: Ints
    p4: Floats


def hadronic_taus(record: Record) -> Taus:
    """Find the taus that decay into hadrons; pions and kaons count as in the tau's own decay vertex."""
    index = np.flatnonzero(np.abs(record.pdg) == TAU)
    index = index[(last_copy(record, index) == index) & (record.daughter1[index] > 0)]
    first, last = record.daughters(index)
    count = np.maximum(last, first) - first + 1
    owner = np.repeat(np.arange(len(index)), count)
    product = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    pdg = np.abs(record.pdg[product])

    def number(codes: tuple[int, ...]) -> Ints:
        return np.bincount(owner[np.isin(pdg, codes)], minlength=len(index))

    visible = ~np.isin(pdg, NEUTRINOS)
    parts = [getattr(record, name)[product[visible]] for name in ("energy", "px", "py", "pz")]
    p4 = np.stack([np.bincount(owner[visible], part, minlength=len(index)) for part in parts], axis=-1)
    hadronic = (number((11, 13)) == 0) & (number(CHARGED_HADRONS) > 0)
    mode = 5 * (number(CHARGED_HADRONS) - 1) + number((PI0,))
    return Taus(record.event_of(index)[hadronic], mode[hadronic], p4[hadronic])


def nearest_tau(taus: Taus, jets: Jets, *, radius: float) -> npt.NDArray[np.int64]:
    """Return the visible tau within `radius` of each jet of its event, -1 for none, shape (J,).

    Nearest pairs first, and each tau belongs to one jet only: soft jets near a tau's jet are not matched to
    it.
    """
    _, px, py, pz = jets.p4.T
    eta, phi = pseudorapidity(px, py, pz), np.arctan2(py, px)
    tau_eta = pseudorapidity(*taus.p4.T[1:])
    tau_phi = np.arctan2(taus.p4[:, 2], taus.p4[:, 1])
    jet, tau = np.nonzero(jets.event[:, None] == taus.event)
    distance = delta_r(eta[jet], phi[jet], tau_eta[tau], tau_phi[tau])
    tau_of_jet = np.full(len(jets), -1, np.int64)
    free = np.ones(len(taus.event), bool)
    for pair in np.argsort(distance, kind="stable"):
        if distance[pair] < radius and free[tau[pair]] and tau_of_jet[jet[pair]] < 0:
            tau_of_jet[jet[pair]], free[tau[pair]] = tau[pair], False
    return tau_of_jet


def holds_tau(record: Record, jets: Jets, *, radius: float) -> Bools:
    """Tell which jets hold a hadronic tau."""
    return nearest_tau(hadronic_taus(record), jets, radius=radius) >= 0


def tau_columns(record: Record, jets: Jets, *, radius: float) -> dict[str, Array]:
    """Return the fields of `hepfm.data.schemas.taus.TAU_FIELDS` of jets."""
    taus = hadronic_taus(record)
    tau_of_jet = nearest_tau(taus, jets, radius=radius)
    has = tau_of_jet >= 0
    p4 = np.zeros((len(jets), 4))
    p4[has] = taus.p4[tau_of_jet[has]]
    mode = np.full(len(jets), -1, np.int64)
    mode[has] = taus.mode[tau_of_jet[has]]
    pt, jet_pt = np.hypot(p4[:, 1], p4[:, 2]), np.hypot(jets.p4[:, 1], jets.p4[:, 2])
    zero = np.zeros(len(jets))
    return {
        "tau_decay_mode": decay_mode_class(mode),
        "tau_log_pt_ratio": np.log(np.divide(pt, jet_pt, out=np.ones(len(jets)), where=has)),
        "tau_visible_pt": pt,
        "tau_visible_eta": np.where(has, pseudorapidity(*p4.T[1:]), zero),
        "tau_visible_phi": np.where(has, np.arctan2(p4[:, 2], p4[:, 1]), zero),
        "tau_visible_mass": np.where(has, mass_of(p4), zero),
    }
