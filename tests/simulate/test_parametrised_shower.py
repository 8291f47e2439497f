"""Grindhammer and Peters' showers: the paper's formulas, what is drawn from them, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from hepfm.core.errors import ConfigError
from hepfm.simulate.parametrised_shower import (
    SILICON,
    TUNGSTEN,
    SamplingCalorimeter,
    draw_spots,
    longitudinal,
    radial,
)

PLATES = SamplingCalorimeter(TUNGSTEN, SILICON, 1.4, 0.3, 0.17)
LAYERS = {"num_layers": 45, "layer_mm": 3.4}


def test_effective_medium() -> None:
    # Pure tungsten has X0 = 3.50 mm and RM = 9.3 mm (PDG); thin silicon gaps stretch both.
    assert 1.2 * 3.50 < PLATES.radiation_length_mm < 1.7 / 1.4 * 3.51
    assert 9.3 < PLATES.moliere_radius_mm < 1.7 / 1.4 * 9.4
    assert 45 * 3.4 / PLATES.radiation_length_mm == pytest.approx(36.3, abs=0.1)
    assert TUNGSTEN.critical_energy == pytest.approx(8.0e-3, rel=0.05)
    assert SILICON.critical_energy == pytest.approx(36.7e-3, rel=0.1)


@pytest.mark.parametrize("energy", [1.0, 10.0, 100.0, 1000.0])
def test_maximum_follows_the_logarithm_of_the_energy(energy: float) -> None:
    found = longitudinal(np.array([energy]), PLATES)
    log = np.log(energy / PLATES.critical_energy)
    expected = log - 0.812 - 0.55 * PLATES.inverse_sampling - 0.69 * (1 - PLATES.e_over_mip)
    assert float(np.exp(found.log_depth[0])) == pytest.approx(expected)
    assert found.depth_spread[0] == pytest.approx(1 / (1.25 * log - 2.5))
    depth, shape = found.draw(np.random.default_rng(1))
    assert depth[0] > 0
    assert shape[0] > 1


def test_fluctuations_have_their_spread_and_correlation() -> None:
    profile = longitudinal(np.full(100_000, 50.0), PLATES)
    depth, shape = profile.draw(np.random.default_rng(2))
    assert np.log(depth).mean() == pytest.approx(profile.log_depth[0], abs=3e-3)
    assert np.log(depth).std() == pytest.approx(profile.depth_spread[0], rel=0.02)
    assert np.log(shape).std() == pytest.approx(profile.shape_spread[0], rel=0.02)
    assert np.corrcoef(np.log(depth), np.log(shape))[0, 1] == pytest.approx(profile.correlation[0], abs=0.01)


@pytest.mark.parametrize("tau", [0.2, 1.0, 2.0])
def test_profile_across_is_a_density_and_its_draws_follow_it(tau: float) -> None:
    one = radial(np.array([30.0]), np.array([tau]), PLATES)
    core, tail, share = (float(values[0]) for values in (one.core, one.tail, one.share))
    assert 0 < core < tail
    assert 0 <= share <= 1

    def density(r: float) -> float:
        parts = [2 * r * R**2 / (r**2 + R**2) ** 2 for R in (core, tail)]
        return share * parts[0] + (1 - share) * parts[1]

    whole, _ = quad(density, 0, np.inf)
    within, _ = quad(density, 0, 1)
    assert whole == pytest.approx(1, abs=1e-6)
    assert one.contained(np.array([1.0]))[0] == pytest.approx(within, abs=1e-6)
    many = radial(np.full(50_000, 30.0), np.full(50_000, tau), PLATES)
    drawn = many.draw(np.random.default_rng(3))
    assert (drawn < 1).mean() == pytest.approx(within, abs=0.01)


def test_a_moliere_radius_holds_nine_tenths() -> None:
    spots = draw_spots(np.full(300, 30.0), PLATES, **LAYERS, rng=np.random.default_rng(4))
    radius = np.hypot(spots.x, spots.y)
    inside = spots.energy[radius < PLATES.moliere_radius_mm].sum() / spots.energy.sum()
    assert inside == pytest.approx(0.90, abs=0.03)


@pytest.mark.parametrize("energy", [4.0, 100.0])
def test_energy_is_kept_and_fluctuates_as_asked(energy: float) -> None:
    spots = draw_spots(np.full(2000, energy), PLATES, **LAYERS, rng=np.random.default_rng(5))
    total = np.bincount(spots.shower, spots.energy, minlength=2000) / energy
    assert total.mean() == pytest.approx(1, abs=0.01)
    assert total.std() == pytest.approx(0.17 / np.sqrt(energy), rel=0.1)


def test_mean_depth_grows_by_a_radiation_length_for_each_factor_e() -> None:
    rng = np.random.default_rng(6)
    depths = []
    for energy in (5.0, 500.0):
        spots = draw_spots(np.full(400, energy), PLATES, **LAYERS, rng=rng)
        place = (spots.layer + 0.5) * 3.4 / PLATES.radiation_length_mm
        depths.append(np.average(place, weights=spots.energy))
    assert depths[1] - depths[0] == pytest.approx(np.log(100), rel=0.1)


def test_soft_showers_and_plates_without_thickness_are_refused() -> None:
    with pytest.raises(ConfigError, match="too soft"):
        longitudinal(np.array([0.1]), PLATES)
    with pytest.raises(ConfigError, match="active_mm"):
        SamplingCalorimeter(TUNGSTEN, SILICON, 1.4, 0.0, 0.17)
