"""Towers: grids, energy flow, and what becomes of tracks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.rng import numpy_generator
from hepfm.simulate.calorimeter import Calorimeter, Resolution, energy_flow
from hepfm.simulate.cards import CMS_CARD, CMS_HCAL_GRID, ECAL_GRID
from hepfm.simulate.helix import Solenoid, fly
from hepfm.simulate.particles import Particles
from hepfm.simulate.tracks import Tracks

PERFECT = (Resolution(5.0),)
WEAK_FIELD = Solenoid(field=0.01, radius=1290.0, half_length=3000.0)


def calorimeter(base: Calorimeter, **changes: object) -> Calorimeter:
    """Return a calorimeter without smearing or thresholds, with changes."""
    return replace(base, **{"resolutions": PERFECT, "energy_min": 0.0, "significance_min": 0.0, **changes})


def no_tracks() -> Tracks:
    return Tracks(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(9)))


def track_of(particles: Particles, index: int, *, pt: float, error: float) -> Tracks:
    """Return one measured track."""
    numbers = (pt, 0.0, 0.0, float(particles.mass[index]), error, 0.0, 0.0, 0.0, 0.0)
    return Tracks(np.array([index]), *(np.array([number]) for number in numbers))


def test_grids_are_those_of_the_card() -> None:
    assert len(ECAL_GRID.phi_bins) == 2 * (170 + 11)
    assert set(ECAL_GRID.phi_bins) == {360, 36}
    rings = dict(zip(CMS_HCAL_GRID.eta_edges[1:], CMS_HCAL_GRID.phi_bins, strict=True))
    assert rings[1.653] == 72
    assert rings[-1.566] == 72  # the ring from -1.653 to -1.566
    assert rings[1.74] == rings[-1.653] == rings[4.525] == rings[-4.35] == 36
    assert rings[4.7] == rings[5.0] == rings[-4.7] == rings[-4.525] == 18


@settings(deadline=None, max_examples=80)
@given(st.floats(-4.99, 4.99), st.floats(-3.14159, 3.14159))
def test_every_point_lies_in_its_tower(eta: float, phi: float) -> None:
    for grid in (ECAL_GRID, CMS_HCAL_GRID):
        ring, step, on_grid = (column[0] for column in grid.locate(np.array([eta]), np.array([phi])))
        assert on_grid
        assert grid.eta_edges[ring] < eta <= grid.eta_edges[ring + 1]
        width = 2 * np.pi / grid.phi_bins[ring]
        assert -np.pi + width * step - 1e-12 <= phi <= -np.pi + width * (step + 1) + 1e-12


def test_points_beyond_the_grid_are_not_on_it() -> None:
    assert not ECAL_GRID.locate(np.array([5.1, -5.1]), np.zeros(2))[2].any()


def test_neutral_energy_is_conserved_in_every_event(particles: Callable[..., Particles]) -> None:
    """With a perfect calorimeter the photons of an event come out with their summed energy, massless."""
    rng = numpy_generator(3, "test.calorimeter")
    n = 500
    event = np.sort(rng.integers(0, 5, n))
    where = rng.integers(0, 20, n)  # of twenty directions, so that photons share towers
    eta, phi = rng.uniform(-2.5, 2.5, 20)[where], rng.uniform(-3, 3, 20)[where]
    photons = particles([22] * n, rng.exponential(3, n), eta, phi, event)
    flight = fly(photons, WEAK_FIELD)
    neutrals, _ = energy_flow(calorimeter(CMS_CARD.ecal), photons, flight, no_tracks(), rng)
    assert len(neutrals.energy) < n
    np.testing.assert_allclose(
        np.bincount(neutrals.event, neutrals.energy), np.bincount(event, photons.energy), rtol=1e-9
    )
    pt = np.bincount(neutrals.event, neutrals.energy / np.cosh(neutrals.eta))
    np.testing.assert_allclose(pt, np.bincount(event, photons.pt), rtol=0.02)  # towers have a size


def test_energy_is_shared_between_the_calorimeters(particles: Callable[..., Particles]) -> None:
    kaon = particles([310], [20.0], [0.3], [0.0])
    flight, rng = fly(kaon, WEAK_FIELD), numpy_generator(0, "x")
    parts = [
        energy_flow(calorimeter(c), kaon, flight, no_tracks(), rng)[0] for c in (CMS_CARD.ecal, CMS_CARD.hcal)
    ]
    energies = [part.energy.sum() for part in parts]
    np.testing.assert_allclose(energies, kaon.energy * [0.3, 0.7])


@pytest.mark.parametrize("code", [13, 12])
def test_muons_and_neutrinos_leave_nothing(code: int, particles: Callable[..., Particles]) -> None:
    one = particles([code], [50.0], [0.0], [0.0])
    for device in (CMS_CARD.ecal, CMS_CARD.hcal):
        neutrals, _ = energy_flow(device, one, fly(one, WEAK_FIELD), no_tracks(), numpy_generator(0, "x"))
        assert len(neutrals.energy) == 0


def test_excess_over_the_tracks_becomes_a_neutral(particles: Callable[..., Particles]) -> None:
    """A pion and a neutral kaon in one tower: the pion's track is kept, the rest is a neutral."""
    both = particles([211, 130], [30.0, 40.0], [0.02, 0.03], [0.02, 0.03])
    track = track_of(both, 0, pt=30.0, error=0.0)
    neutrals, tracks = energy_flow(
        calorimeter(CMS_CARD.hcal), both, fly(both, WEAK_FIELD), track, numpy_generator(0, "x")
    )
    assert tracks.pt[0] == 30.0
    assert neutrals.energy.tolist() == pytest.approx([both.energy.sum() - track.energy[0]])


def test_track_takes_the_weighted_mean(particles: Callable[..., Particles]) -> None:
    """Without significant excess the energy is the mean of both, weighted with 1 / sigma^2."""
    pion = particles([211], [40.0], [0.0], [0.0])
    device = calorimeter(CMS_CARD.hcal, resolutions=(Resolution(5.0, noise=5.0),))
    track = track_of(pion, 0, pt=50.0, error=0.2)
    _, scaled = energy_flow(device, pion, fly(pion, WEAK_FIELD), track, _Middle())
    tower, mine = 40.0 * np.exp(-0.5 * np.log1p((5 / 40) ** 2)), float(track.energy[0])
    weights = np.array([1 / 25, 1 / (0.2 * mine) ** 2])
    expected = (weights * [tower, mine]).sum() / weights.sum()
    assert scaled.pt[0] == pytest.approx(50.0 * expected / mine, rel=1e-4)


class _Middle(np.random.Generator):
    """A generator whose normal numbers are all 0."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.zeros(size)


def test_track_without_error_vanishes_with_its_tower(particles: Callable[..., Particles]) -> None:
    """A 1.5 GeV pion fails the tower's cut; without an error of its own its track is scaled to 0."""
    pion = particles([211], [1.5], [0.0], [0.0])
    device = replace(CMS_CARD.hcal, energy_min=5.0)
    flight, rng = fly(pion, WEAK_FIELD), numpy_generator(0, "x")
    assert energy_flow(device, pion, flight, track_of(pion, 0, pt=1.5, error=0.0), rng)[1].pt[0] == 0
    kept = energy_flow(device, pion, flight, track_of(pion, 0, pt=1.5, error=0.06), rng)[1].pt[0]
    assert 0.9 < kept <= 1.5


def test_resolutions_follow_the_card() -> None:
    energy, eta = np.full(4, 50.0), np.array([0.0, -1.5, 2.4, 3.2])
    base = np.sqrt((0.008 * 50) ** 2 + 0.11**2 * 50 + 0.40**2)
    expected = [base, (1 + 0.64 * 2.25) * base, (2.16 + 5.6 * 0.16) * base, np.sqrt(5.35**2 + 2.08**2 * 50)]
    np.testing.assert_allclose(CMS_CARD.ecal.sigma(energy, eta), expected)
    np.testing.assert_allclose(
        CMS_CARD.hcal.sigma(energy[:2], np.array([3.0, 3.1])),
        [np.sqrt(2.5**2 + 1.5**2 * 50), np.sqrt(6.5**2 + 2.7**2 * 50)],
    )
