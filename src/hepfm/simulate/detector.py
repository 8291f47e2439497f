"""Detectors: stable particles in, candidates out. All work is on arrays of a whole batch of events.

==========  =============================================================================================
name        what it is
==========  =============================================================================================
jetclass    the detector of the published JetClass data, its three artefacts included
cms         the same card as it was meant: tracks are measured by the tracker, all of them
atlas_like  a response like Delphes' ATLAS card, without impact parameters
none        the visible particles themselves
==========  =============================================================================================
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hepfm.core.config import Config
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.physics.kinematics import energy_of, four_momentum, pseudorapidity
from hepfm.physics.pdg import NEUTRINOS
from hepfm.simulate.calorimeter import Neutrals, energy_flow
from hepfm.simulate.cards import ATLAS_CARD, CMS_CARD, Card
from hepfm.simulate.helix import Flight, fly
from hepfm.simulate.particles import Bools, Candidates, Floats, Ints, Particles, merge_candidates
from hepfm.simulate.tracks import (
    Tracks,
    at_true_momentum,
    find_tracks,
    jetclass_impact_table,
    measure_impact,
    surviving,
)

FORWARD_ETA = 6.0

_PID = {name: number for number, name in enumerate(PID_CLASSES)}


class Detector(Protocol):
    """Turns the stable particles of a batch of events into candidates.

    `measures_tracks` tells whether d0 and dz mean anything.
    """

    measures_tracks: bool

    def __call__(self, particles: Particles, rng: np.random.Generator) -> Candidates: ...


class Artefacts(Config):
    """Three properties of the published JetClass files that no real detector has; each can be switched.

    Attributes
    ----------
    tracks_by_calorimeter
        Tracks carry the true momentum with no error, so that energy flow scales them to the calorimeter's
        energy; those in towers that fail the cuts vanish.
    eta_at_calorimeter
        The stored eta of a track is that of the point where it meets the calorimeter.
    vanished_tracks_cluster
        Vanished tracks enter the clustering with p = 0 and E = mass.
    """

    tracks_by_calorimeter: bool
    eta_at_calorimeter: bool
    vanished_tracks_cluster: bool


class _Parametrised:
    """Tracking and two energy-flow calorimeters after a card."""

    card: Card
    measures_tracks = True
    exact_outside_table = False
    """Whether tracks for which the table has no impact resolution keep the true d0 and dz, with error 0."""

    def __init__(self, artefacts: Artefacts) -> None:
        self.artefacts = artefacts

    def __call__(self, particles: Particles, rng: np.random.Generator) -> Candidates:
        """Return the tracks, photons and neutral hadrons of every event."""
        particles = particles.take(_measurable(particles))
        flight = fly(particles, self.card.solenoid)
        tracks = find_tracks(particles, flight, self.card.tracks, rng)
        if self.measures_tracks:
            table = jetclass_impact_table()
            tracks = measure_impact(tracks, table.lookup if self.exact_outside_table else table.nearest, rng)
        if self.artefacts.tracks_by_calorimeter:
            tracks = at_true_momentum(tracks, particles)
        photons, tracks = energy_flow(self.card.ecal, particles, flight, tracks, rng)
        hadrons, tracks = energy_flow(self.card.hcal, particles, flight, tracks, rng)
        charged = _track_candidates(
            particles, flight, tracks, eta_at_calorimeter=self.artefacts.eta_at_calorimeter
        )
        if not self.artefacts.vanished_tracks_cluster:
            charged = charged.take(surviving(tracks))
        return merge_candidates(
            [
                charged,
                _neutral_candidates(particles, photons, _PID["photon"]),
                _neutral_candidates(particles, hadrons, _PID["neutral_hadron"]),
            ]
        )


class JetClassDetector(_Parametrised):
    """The detector of JetClass as published (2202.03772)."""

    card = CMS_CARD
    exact_outside_table = True

    class Config(Artefacts):
        """All three artefacts on unless switched off."""

        tracks_by_calorimeter: bool = True
        eta_at_calorimeter: bool = True
        vanished_tracks_cluster: bool = True


class Cms(_Parametrised):
    """The card of JetClass as it was meant."""

    card = CMS_CARD

    class Config(Artefacts):
        """All three artefacts off unless switched on."""

        tracks_by_calorimeter: bool = False
        eta_at_calorimeter: bool = False
        vanished_tracks_cluster: bool = False


class AtlasLike(_Parametrised):
    """A response like that of Delphes' ATLAS card; no impact parameters."""

    card = ATLAS_CARD
    measures_tracks = False

    class Config(Artefacts):
        """All three artefacts off unless switched on."""

        tracks_by_calorimeter: bool = False
        eta_at_calorimeter: bool = False
        vanished_tracks_cluster: bool = False


class NoDetector:
    """Visible particles with |eta| < 5 as generated."""

    measures_tracks = False

    class Config(Config):
        """No options."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, particles: Particles, rng: np.random.Generator) -> Candidates:
        """Return the particles; nothing is drawn."""
        code = np.abs(particles.pdg)
        eta = pseudorapidity(particles.px, particles.py, particles.pz)
        seen = ~np.isin(code, NEUTRINOS) & (np.abs(eta) < 5.0)
        p, eta = particles.take(seen), eta[seen]
        nothing = np.zeros(len(p))
        return Candidates(
            event=p.event,
            p4=np.stack([p.energy, p.px, p.py, p.pz], axis=-1),
            pt=p.pt,
            eta=eta,
            phi=np.arctan2(p.py, p.px),
            energy=p.energy,
            charge=p.charge,
            pid=particle_type(p.pdg, p.charge),
            d0=nothing,
            d0_error=nothing,
            dz=nothing,
            dz_error=nothing,
            entry=p.entry,
        )


def _measurable(particles: Particles) -> Bools:
    """Leave out neutrinos and what flies far beyond the calorimeters' end; this only saves time."""
    forward = np.abs(particles.pz) > np.sinh(FORWARD_ETA) * particles.pt
    measurable: Bools = ~(np.isin(np.abs(particles.pdg), NEUTRINOS) | forward)
    return measurable


def particle_type(pdg: Ints, charge: Floats) -> Ints:
    """Return the index into `PID_CLASSES`; only pions, kaons and protons count as charged hadrons."""
    code = np.abs(pdg)
    known = [np.isin(code, (211, 321, 2212)), code == 22, code == 11, code == 13, (charge == 0)]
    names = ("charged_hadron", "photon", "electron", "muon", "neutral_hadron")
    return np.select(known, [_PID[name] for name in names], _PID["other"])


def _track_candidates(
    particles: Particles, flight: Flight, tracks: Tracks, *, eta_at_calorimeter: bool
) -> Candidates:
    origin = tracks.particle
    eta = flight.eta[origin] if eta_at_calorimeter else tracks.eta
    charge = particles.charge[origin]
    return Candidates(
        event=particles.event[origin],
        p4=four_momentum(tracks.pt, tracks.eta, tracks.phi, tracks.energy),
        pt=tracks.pt,
        eta=eta,
        phi=tracks.phi,
        energy=energy_of(tracks.pt, eta, tracks.mass),
        charge=charge,
        pid=particle_type(particles.pdg[origin], charge),
        d0=tracks.d0,
        d0_error=tracks.d0_error,
        dz=tracks.dz,
        dz_error=tracks.dz_error,
        entry=particles.entry[origin],
    )


def _neutral_candidates(particles: Particles, neutrals: Neutrals, pid: int) -> Candidates:
    pt = neutrals.energy / np.cosh(neutrals.eta)
    nothing = np.zeros(len(pt))
    return Candidates(
        event=neutrals.event,
        p4=four_momentum(pt, neutrals.eta, neutrals.phi, neutrals.energy),
        pt=pt,
        eta=neutrals.eta,
        phi=neutrals.phi,
        energy=neutrals.energy,
        charge=nothing,
        pid=np.full(len(pt), pid),
        d0=nothing,
        d0_error=nothing,
        dz=nothing,
        dz_error=nothing,
        entry=particles.entry[neutrals.particle],
    )
