"""Jets by the hadronic tau that they hold, with its decay mode and visible momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.core import config
from hepfm.core.pairs import nearest_first, pairs_of_events
from hepfm.core.ragged import Array
from hepfm.core.schema import Field
from hepfm.data.schemas.taus import TAU_FIELDS
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import delta_r, mass_of, pseudorapidity
from hepfm.physics.pdg import CHARGED_KAON, CHARGED_PION, ELECTRON, MUON, NEUTRAL_PION, NEUTRINOS, TAU
from hepfm.physics.taus import decay_mode_class
from hepfm.simulate.labellers.base import JetLabels, Labeller
from hepfm.simulate.labellers.decays import DecayMatch, belongs
from hepfm.simulate.labels import last_copy
from hepfm.simulate.particles import Bools, Floats, Ints
from hepfm.simulate.pythia import Record

CHARGED_HADRONS = (CHARGED_PION, CHARGED_KAON)
"""Of the decay vertex of a tau."""


@dataclass(frozen=True)
class HadronicTaus:
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

    def take(self, rows: Bools) -> HadronicTaus:
        """Return the given taus."""
        return HadronicTaus(self.event[rows], self.mode[rows], self.p4[rows])


class TauMatch(DecayMatch):
    """Which jets belong to a class: those of `DecayMatch`, with or without a hadronic tau.

    Attributes
    ----------
    hadronic_tau
        Whether the visible products of a tau that decays into hadrons must point into the jet (true), or must
        not (false), as those of a heavy quark's decay may. Not asked when nothing is given.
    """

    hadronic_tau: bool | None = None

    @pydantic.model_validator(mode="after")
    def _check_single(self) -> TauMatch:
        if self.hadronic_tau and (self.resonance is not None or self.parton is not None):
            raise ValueError("give one of 'hadronic_tau: true', 'resonance' and 'parton'")
        return self


class TauLabeller(Labeller[TauMatch]):
    """Classes with and without hadronic taus, and the fields of the tau in every jet."""

    Match: ClassVar[type[config.Config]] = TauMatch
    fields: ClassVar[tuple[Field, ...]] = TAU_FIELDS

    def label(self, record: Record, jets: Jets, match: TauMatch, *, radius: float) -> JetLabels:
        """Label jets; a tau belongs to its nearest jet, also where that one is not of the class."""
        taus = hadronic_taus(record)
        tau_of_jet = nearest_tau(taus, jets, radius=radius)
        fitting = belongs(match, record, jets, radius=radius)
        if match.hadronic_tau is not None:
            fitting = fitting & ((tau_of_jet >= 0) == match.hadronic_tau)
        return JetLabels(fitting, tau_columns(taus, tau_of_jet, jets))


def hadronic_taus(record: Record) -> HadronicTaus:
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
    hadronic = (number((ELECTRON, MUON)) == 0) & (number(CHARGED_HADRONS) > 0)
    mode = 5 * (number(CHARGED_HADRONS) - 1) + number((NEUTRAL_PION,))
    return HadronicTaus(record.event_of(index)[hadronic], mode[hadronic], p4[hadronic])


def nearest_tau(taus: HadronicTaus, jets: Jets, *, radius: float) -> npt.NDArray[np.int64]:
    """Return the visible tau within `radius` of each jet of its event, -1 for none, shape (J,).

    Nearest pairs first, and each tau belongs to one jet only: soft jets near a tau's jet are not matched to
    it.
    """
    _, px, py, pz = jets.p4.T
    eta, phi = pseudorapidity(px, py, pz), np.arctan2(py, px)
    tau_eta = pseudorapidity(*taus.p4.T[1:])
    tau_phi = np.arctan2(taus.p4[:, 2], taus.p4[:, 1])
    jet, tau = pairs_of_events(jets.event, taus.event)
    distance = delta_r(eta[jet], phi[jet], tau_eta[tau], tau_phi[tau])
    near = distance < radius
    jet, tau = nearest_first(jet[near], tau[near], distance[near])
    tau_of_jet = np.full(len(jets), -1, np.int64)
    tau_of_jet[jet] = tau
    return tau_of_jet


def tau_columns(taus: HadronicTaus, tau_of_jet: Ints, jets: Jets) -> dict[str, Array]:
    """Return the `TAU_FIELDS` of jets; -1 in `tau_of_jet` stands for no tau."""
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
