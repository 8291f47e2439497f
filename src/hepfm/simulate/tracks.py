"""Track reconstruction: efficiency, momentum resolution, impact parameters."""

from __future__ import annotations

import csv
import functools
import importlib.resources
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hepfm.physics.kinematics import pseudorapidity
from hepfm.simulate.helix import Flight
from hepfm.simulate.particles import Bools, Floats, Ints, Particles

HADRON, ELECTRON, MUON = 0, 1, 2


@dataclass(frozen=True)
class TrackResponse:
    """How well tracks of one species are found and measured.

    Intervals are open below and closed above. Nothing is found at pT <= ``pt_edges[0]`` or beyond the last
    edge in |eta|.

    Attributes
    ----------
    efficiency
        By region of `efficiency_eta` and of `pt_edges` (the last is open), shape (regions, len(pt_edges)).
    falls_above
        pT in GeV above which the efficiency falls as exp(-(pT - falls_above) / 2 TeV); None for never.
    resolution
        (a, b / GeV) by region of `resolution_eta`: sigma(pT) / pT = min(1, sqrt(a^2 + (b pT)^2)).
    """

    efficiency: tuple[tuple[float, ...], ...]
    resolution: tuple[tuple[float, float], ...]
    efficiency_eta: tuple[float, ...] = (1.5, 2.5)
    resolution_eta: tuple[float, ...] = (0.5, 1.5, 2.5)
    pt_edges: tuple[float, ...] = (0.1, 1.0, 100.0)
    falls_above: float | None = None

    def efficiency_at(self, pt: Floats, eta: Floats) -> Floats:
        """Return the probability to find a track."""
        table = np.pad(np.asarray(self.efficiency), ((0, 1), (1, 0)))
        region = np.searchsorted(self.efficiency_eta, np.abs(eta), side="left")
        step = np.searchsorted(self.pt_edges, pt, side="left")
        value: Floats = table[region, step]
        if self.falls_above is None:
            return value
        return np.asarray(value * np.exp(-np.maximum(pt - self.falls_above, 0.0) / 2000.0))

    def resolution_at(self, pt: Floats, eta: Floats) -> Floats:
        """Return sigma(pT) / pT."""
        table = np.pad(np.asarray(self.resolution), ((0, 1), (0, 0)))
        a, b = table[np.searchsorted(self.resolution_eta, np.abs(eta), side="left")].T
        return np.asarray(np.minimum(np.hypot(a, b * pt), 1.0))


@dataclass(frozen=True)
class Tracks:
    """Reconstructed tracks, arrays of shape (n,); lengths in mm, momenta in GeV.

    `particle` is the index of the particle that made it, `relative_error` its sigma(p) / p, `eta` that of the
    momentum and `phi` that of the momentum at the perigee.
    """

    particle: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    relative_error: Floats
    d0: Floats
    d0_error: Floats
    dz: Floats
    dz_error: Floats

    @property
    def energy(self) -> Floats:
        """Energy in GeV."""
        return np.hypot(self.pt * np.cosh(self.eta), self.mass)

    def scaled(self, factor: Floats) -> Tracks:
        """Return the tracks with pT scaled, direction and mass kept."""
        return replace(self, pt=self.pt * factor)


def species(pdg: Ints) -> Ints:
    """Return HADRON, ELECTRON or MUON for charged particles."""
    code = np.abs(pdg)
    return np.select([code == 11, code == 13], [ELECTRON, MUON], HADRON)


def find_tracks(
    particles: Particles, flight: Flight, responses: tuple[TrackResponse, ...], rng: np.random.Generator
) -> Tracks:
    """Draw which charged particles are found, and their measured pT.

    Every eta in the tables is that of the point where the particle leaves the tracker.

    Parameters
    ----------
    responses
        For hadrons, electrons and muons, in this order.
    """
    kind = np.where(flight.seen & (particles.charge != 0), species(particles.pdg), -1)
    pt = particles.pt
    efficiency = _by_species(kind, [response.efficiency_at for response in responses], pt, flight.eta)
    index = np.flatnonzero(rng.random(len(particles)) < efficiency)
    true_pt = pt[index]
    error = _by_species(
        kind[index], [response.resolution_at for response in responses], true_pt, flight.eta[index]
    )
    nothing = np.zeros(len(index))
    return Tracks(
        particle=index,
        pt=log_normal(true_pt, error * true_pt, rng),
        eta=pseudorapidity(particles.px[index], particles.py[index], particles.pz[index]),
        phi=flight.perigee_phi[index],
        mass=particles.mass[index],
        relative_error=error,
        d0=flight.d0[index],
        d0_error=nothing,
        dz=flight.dz[index],
        dz_error=nothing,
    )


def _by_species(
    kind: Ints, functions: Sequence[Callable[[Floats, Floats], Floats]], pt: Floats, eta: Floats
) -> Floats:
    """Evaluate at (pT, eta) the function of each particle's species; 0 where it has none."""
    value = np.zeros(len(kind))
    for number, function in enumerate(functions):
        rows = np.flatnonzero(kind == number)
        value[rows] = function(pt[rows], eta[rows])
    return value


def log_normal(mean: Floats, sigma: Floats, rng: np.random.Generator) -> Floats:
    """Draw log-normal numbers of these means and standard deviations; 0 where the mean is not positive."""
    positive = mean > 0
    safe = np.where(positive, mean, 1.0)
    width = np.sqrt(np.log1p((sigma / safe) ** 2))
    return np.where(positive, safe * np.exp(width * rng.standard_normal(len(mean)) - 0.5 * width**2), 0.0)


ImpactResolution = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Measured pT in GeV and eta to the resolutions of d0 and dz in mm."""


@dataclass(frozen=True)
class ImpactTable:
    """Resolutions of d0 and dz in steps of pT and |eta|; intervals open below, closed above.

    Attributes
    ----------
    eta_edges, pt_edges
        Lower edges and the last upper one; the last pT interval is open.
    sigma
        mm, shape (2, eta regions, pT steps): d0, then dz.
    """

    eta_edges: Floats
    pt_edges: Floats
    sigma: Floats

    def lookup(self, pt: Floats, eta: Floats) -> tuple[Floats, Floats]:
        """Return the resolutions of d0 and dz; 0 outside of the table, as in the published card."""
        region = np.searchsorted(self.eta_edges[1:], np.abs(eta), side="left")
        step = np.searchsorted(self.pt_edges, pt, side="left") - 1
        padded = np.pad(
            self.sigma, ((0, 0), (0, 1), (0, 1))
        )  # beyond the last region and below the first step
        d0, dz = padded[:, region, step]
        return d0, dz

    def nearest(self, pt: Floats, eta: Floats) -> tuple[Floats, Floats]:
        """Return the same, of the nearest interval outside of the table: every track has an uncertainty."""
        first = np.nextafter(self.pt_edges[0], np.inf)
        return self.lookup(np.maximum(pt, first), np.minimum(np.abs(eta), self.eta_edges[-1]))


@functools.cache
def jetclass_impact_table() -> ImpactTable:
    """Read the 204 resolutions of the JetClass detector card."""
    source = importlib.resources.files("hepfm.simulate") / "data" / "jetclass_track_resolution.csv"
    rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))
    eta = sorted({float(row["abs_eta_min"]) for row in rows} | {float(row["abs_eta_max"]) for row in rows})
    pt = sorted({float(row["pt_min_gev"]) for row in rows})
    sigma = np.zeros((2, len(eta) - 1, len(pt)))
    for row in rows:
        place = (
            ("d0", "dz").index(row["parameter"]),
            eta.index(float(row["abs_eta_min"])),
            pt.index(float(row["pt_min_gev"])),
        )
        sigma[place] = float(row["sigma_mm"])
    return ImpactTable(np.asarray(eta), np.asarray(pt), sigma)


def measure_impact(tracks: Tracks, resolution: ImpactResolution, rng: np.random.Generator) -> Tracks:
    """Smear d0 and dz by their resolutions at the measured pT, which are the stored errors."""
    d0_error, dz_error = resolution(tracks.pt, tracks.eta)
    return replace(
        tracks,
        d0=tracks.d0 + d0_error * rng.standard_normal(len(tracks.pt)),
        d0_error=d0_error,
        dz=tracks.dz + dz_error * rng.standard_normal(len(tracks.pt)),
        dz_error=dz_error,
    )


def at_true_momentum(tracks: Tracks, particles: Particles) -> Tracks:
    """Return the tracks with the true pT and no error (the first artefact of the JetClass chain)."""
    true_pt = particles.pt[tracks.particle]
    return replace(tracks, pt=true_pt, relative_error=np.zeros_like(true_pt))


def surviving(tracks: Tracks) -> Bools:
    """Tell which tracks still have momentum after energy flow."""
    return tracks.pt > 0
