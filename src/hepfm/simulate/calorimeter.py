"""One energy-flow calorimeter: towers, smearing, neutral excess, tracks scaled to their tower's energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.simulate.helix import Flight
from hepfm.simulate.particles import Bools, Floats, Ints, Particles
from hepfm.simulate.tracks import Tracks, log_normal


@dataclass(frozen=True)
class Grid:
    """Towers in (eta, phi). Intervals are open below and closed above.

    Attributes
    ----------
    eta_edges
        Rising, one more than there are rings.
    phi_bins
        Number of towers of each ring; phi starts at -pi.
    """

    eta_edges: tuple[float, ...]
    phi_bins: tuple[int, ...]

    @classmethod
    def symmetric(cls, positive: tuple[float, ...], degrees: tuple[tuple[float, float], ...]) -> Grid:
        """Build from the edges above 0 and the steps in phi as (up to |eta|, degrees)."""
        edges = (*(-edge for edge in reversed(positive)), 0.0, *positive)
        limits = [limit for limit, _ in degrees]
        outer = np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
        steps = [degrees[i][1] for i in np.searchsorted(np.asarray(limits) + 1e-9, outer)]
        return cls(edges, tuple(round(360 / step) for step in steps))

    def locate(self, eta: Floats, phi: Floats) -> tuple[Ints, Ints, Bools]:
        """Return ring and step in phi of a point, and whether it lies on the grid."""
        ring = np.searchsorted(self.eta_edges, eta, side="left") - 1
        on_grid = (ring >= 0) & (ring < len(self.phi_bins))
        ring = np.clip(ring, 0, len(self.phi_bins) - 1)
        bins = np.asarray(self.phi_bins)[ring]
        step = np.ceil((phi + np.pi) / (2 * np.pi) * bins).astype(np.int64) - 1
        return ring, np.clip(step, 0, bins - 1), on_grid


@dataclass(frozen=True)
class Resolution:
    """sigma(E)^2 = scale^2 (noise^2 + stochastic^2 E + (constant E)^2), E in GeV, up to |eta| = `eta_max`.

    ``scale = scale_a + scale_b (|eta| - scale_eta)^2``.
    """

    eta_max: float
    constant: float = 0.0
    stochastic: float = 0.0
    noise: float = 0.0
    scale_a: float = 1.0
    scale_b: float = 0.0
    scale_eta: float = 0.0

    def sigma(self, energy: Floats, abs_eta: Floats) -> Floats:
        """Return sigma(E) in GeV."""
        scale = self.scale_a + self.scale_b * (abs_eta - self.scale_eta) ** 2
        return scale * np.sqrt(self.noise**2 + self.stochastic**2 * energy + (self.constant * energy) ** 2)


@dataclass(frozen=True)
class Calorimeter:
    """Settings of one calorimeter.

    Attributes
    ----------
    resolutions
        By rising `eta_max`; the last one holds beyond.
    energy_min, significance_min
        Cuts on a tower and on a neutral excess: GeV, and multiples of sigma.
    fractions
        |PDG code| -> share of the energy left here.
    default_fraction
        For all other codes.
    """

    grid: Grid
    resolutions: tuple[Resolution, ...]
    energy_min: float
    significance_min: float
    fractions: dict[int, float]
    default_fraction: float

    def fraction(self, pdg: Ints) -> Floats:
        """Return the share of the energy that particles leave here."""
        code = np.abs(pdg)
        share = np.full(len(code), self.default_fraction)
        for number, value in self.fractions.items():
            share[code == number] = value
        return share

    def sigma(self, energy: Floats, eta: Floats) -> Floats:
        """Return the resolution in GeV at this energy and eta of the tower's centre."""
        abs_eta = np.abs(eta)
        limits = [resolution.eta_max for resolution in self.resolutions[:-1]]
        region = np.searchsorted(limits, abs_eta, side="left")
        sigma = np.zeros(len(energy))
        for number, resolution in enumerate(self.resolutions):
            rows = np.flatnonzero(region == number)
            sigma[rows] = resolution.sigma(energy[rows], abs_eta[rows])
        return sigma


@dataclass(frozen=True)
class Neutrals:
    """Massless neutral candidates, arrays of shape (n,).

    `particle` is the index of the particle that left the most energy in the tower among those without a
    track, or among all where each has one.
    """

    event: Ints
    energy: Floats
    eta: Floats
    phi: Floats
    particle: Ints


@dataclass(frozen=True)
class Towers:
    """Hit towers of all events: event, energy after smearing and cuts, its sigma, ring and step in phi."""

    event: Ints
    energy: Floats
    sigma: Floats
    ring: Ints
    step: Ints


def energy_flow(
    calorimeter: Calorimeter, particles: Particles, flight: Flight, tracks: Tracks, rng: np.random.Generator
) -> tuple[Neutrals, Tracks]:
    """Measure towers, turn significant excess over their tracks into neutrals, scale the other tracks.

    A tower without significant excess gives its tracks the mean of track and tower energy, weighted with
    1 / sigma^2; a track error of 0 counts as weight 0, so that such tracks take the tower's energy, which is
    0 where the tower failed the cuts.
    """
    deposit = particles.energy * calorimeter.fraction(particles.pdg) * flight.seen
    towers, tower_of = _towers(calorimeter, particles.event, deposit, flight, rng)
    own = tower_of[tracks.particle]
    here = own >= 0
    n = len(towers.energy)
    energy = tracks.energy
    track_energy = _sum(own[here], energy[here], n)
    track_variance = _sum(own[here], (energy * tracks.relative_error)[here] ** 2, n)
    excess = np.maximum(towers.energy - track_energy, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = excess / np.sqrt(track_variance + towers.sigma**2)
    neutral = (excess > calorimeter.energy_min) & (significance > calorimeter.significance_min)
    factor = np.where(neutral, 1.0, _scale(towers, track_energy, track_variance))
    untracked = np.ones(len(deposit), bool)
    untracked[tracks.particle] = False
    main = _main_particles(tower_of, deposit, untracked, n)
    return (
        _neutrals(calorimeter.grid, towers, excess, main, np.flatnonzero(neutral), rng),
        tracks.scaled(np.where(here, factor[own], 1.0)) if n else tracks,
    )


def _main_particles(tower_of: Ints, deposit: Floats, untracked: Bools, towers: int) -> Ints:
    """Return for each tower the particle with the largest deposit; those without a track come first."""
    hit = np.flatnonzero(tower_of >= 0)
    rising = hit[np.lexsort((deposit[hit], untracked[hit]))]
    main = np.zeros(towers, np.int64)
    main[tower_of[rising]] = rising  # of several the last one stays
    return main


def _sum(group: Ints, values: Floats, groups: int) -> Floats:
    return np.bincount(group, values, minlength=groups).astype(np.float64)


def _scale(towers: Towers, track_energy: Floats, track_variance: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        track_weight = np.where(track_variance > 0, 1 / track_variance, 0.0)
        tower_weight = np.where(towers.sigma > 0, 1 / towers.sigma**2, 0.0)
        best = (track_weight * track_energy + tower_weight * towers.energy) / (track_weight + tower_weight)
        return np.where(track_energy > 0, best / track_energy, 1.0)


def _towers(
    calorimeter: Calorimeter, event: Ints, deposit: Floats, flight: Flight, rng: np.random.Generator
) -> tuple[Towers, Ints]:
    """Return the hit towers, and for each particle the number of its tower or -1."""
    grid = calorimeter.grid
    hit = np.flatnonzero(deposit > 0)
    ring, step, on_grid = grid.locate(flight.eta[hit], flight.phi[hit])
    hit, ring, step = hit[on_grid], ring[on_grid], step[on_grid]
    rings, steps = len(grid.phi_bins), max(grid.phi_bins)
    key = (event[hit] * rings + ring) * steps + step
    keys, inverse = np.unique(key, return_inverse=True)
    tower_of = np.full(len(event), -1, np.int64)
    tower_of[hit] = inverse
    tower_ring = keys // steps % rings
    edges = np.asarray(grid.eta_edges)
    centre = 0.5 * (edges[tower_ring] + edges[tower_ring + 1])
    true = _sum(inverse, deposit[hit], len(keys))
    energy = log_normal(true, calorimeter.sigma(true, centre), rng)
    sigma = calorimeter.sigma(energy, centre)
    cut = (energy < calorimeter.energy_min) | (energy < calorimeter.significance_min * sigma)
    towers = Towers(keys // (steps * rings), np.where(cut, 0.0, energy), sigma, tower_ring, keys % steps)
    return towers, tower_of


def _neutrals(
    grid: Grid, towers: Towers, excess: Floats, main: Ints, index: Ints, rng: np.random.Generator
) -> Neutrals:
    """Place neutrals uniformly inside their towers."""
    edges, ring = np.asarray(grid.eta_edges), towers.ring[index]
    width = 2 * np.pi / np.asarray(grid.phi_bins)[ring]
    eta = edges[ring] + (edges[ring + 1] - edges[ring]) * rng.random(len(index))
    phi = -np.pi + width * (towers.step[index] + rng.random(len(index)))
    return Neutrals(towers.event[index], excess[index], eta, phi, main[index])
