"""Metrics of showers against NumPy's histograms, SciPy, hand-made cases, and what they must notice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from hepfm.data.shower_grid import grid_of
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.showers.profiles import profiles
from hepfm.metrics.showers.sample import Showers, showers
from hepfm.metrics.showers.separation import EDGES, edges_of, of_histograms, separation
from hepfm.physics.voxels import CALOCHALLENGE, Layer, Voxels
from hepfm.simulate.recipe import read_simulation

SMALL = Voxels(tuple(Layer(number, (0.0, 2.0, 4.0), 4) for number in range(3)))


@pytest.fixture(scope="module")
def samples() -> tuple[Showers, Showers, Showers]:
    """Two samples of one calorimeter, and one of plates twice as coarse."""

    def make(seed: int, **changes: float) -> Showers:
        recipe = {
            "kind": "showers",
            "seed": seed,
            "showers": {"test": 300},
            "energy": {"min": 1, "max": 10},
            "chunk_showers": 300,
        }
        simulation = read_simulation({**recipe, **changes})
        columns = simulation.make(simulation.chunks()[0]).columns
        grid, _ = grid_of(columns, CALOCHALLENGE["dataset_2"])
        incident = np.asarray(columns["incident_energy"], np.float64)
        return showers(grid, incident, CALOCHALLENGE["dataset_2"], threshold=15.15e-6)

    return make(1), make(2), make(3, resolution=0.34, absorber_mm=1.6)


def test_observables_of_a_shower_made_by_hand() -> None:
    grid = np.zeros((1, len(SMALL)))
    # Layer 1: ring 0 of sector 0 (45 degrees) and ring 1 of sector 1 (135 degrees).
    grid[0, 8 + 0] = 3.0
    grid[0, 8 + 2 + 1] = 1.0
    grid[0, 16] = 1e-9
    found = showers(grid, np.array([8.0]), SMALL, threshold=1e-6)
    x = (3 * np.cos(np.pi / 4) * 1 - 1 * np.cos(np.pi / 4) * 3) / 4
    y = (3 * np.sin(np.pi / 4) * 1 + 1 * np.sin(np.pi / 4) * 3) / 4
    values = {name: float(one[0]) for name, one in found.values.items()}
    assert values == pytest.approx(
        {"energy_ratio": 0.5, "num_hits": 2, "cog_x": x, "cog_y": y, "cog_layer": 1}
    )
    assert found.layers["layer_energy"][0].tolist() == [0, 4, 0]
    assert found.layers["sparsity"][0].tolist() == [1, 0.75, 1]
    assert np.isnan(found.layers["centre_x"][0, 0])
    assert found.layers["centre_r"][0, 1] == pytest.approx(1.5)
    assert found.layers["width_r"][0, 1] == pytest.approx(np.sqrt(0.75 * 1 + 0.25 * 9 - 1.5**2))
    assert found.rings.tolist() == [1, 3]
    assert found.radial[0].tolist() == [3, 1]
    assert found.spectrum.sum() == 2
    assert np.isfinite(found.features()).all()


def test_a_cell_at_the_threshold_counts() -> None:
    grid = np.zeros((1, len(SMALL)))
    grid[0, :3] = [1.0, np.nextafter(1.0, 0), 2.0]
    assert showers(grid, np.array([8.0]), SMALL, threshold=1.0).values["num_hits"].tolist() == [2]


def test_edges_of_histograms_are_part_of_the_definition() -> None:
    energies = edges_of("layer_energy", np.array([0.0, 3.0]))
    assert len(energies) == 41
    assert energies[[0, -1]] == pytest.approx([15.15e-6, 3.0])
    assert np.diff(np.log(energies)) == pytest.approx(np.log(energies[1] / energies[0]))
    assert edges_of("layer_energy", np.zeros(2))[-1] == pytest.approx(2 * 15.15e-6)
    others = edges_of("cog_layer", np.array([2.0, np.nan, 10.0]))
    assert others == pytest.approx(np.linspace(0, 10, 101))
    assert edges_of("cog_layer", np.zeros(3)) == pytest.approx(np.linspace(0, 1, 101))


def test_separation_is_that_of_histograms(samples: tuple[Showers, Showers, Showers]) -> None:
    first, second, _ = samples
    found = separation(first, second)
    for name in ("energy_ratio", "num_hits", "cog_x"):
        edges = edges_of(name, first.values[name])
        p, q = (_counts(one.values[name], edges) for one in (first, second))
        assert found[name].value == pytest.approx(of_histograms(p, q))
    edges, parts = EDGES["width_x"], []
    for layer in range(45):
        p, q = (_counts(one.layers["width_x"][:, layer], edges) for one in (first, second))
        parts.append(of_histograms(p, q))
    assert found["width_x"].value == pytest.approx(np.mean(parts))
    assert of_histograms(np.array([1.0, 0]), np.array([0, 2.0])) == pytest.approx(1)
    assert of_histograms(np.array([1.0, 3]), np.array([2.0, 6])) == 0


def _counts(values: FloatArray, edges: FloatArray) -> FloatArray:
    """Count in the bins, below, above, and without a value."""
    known = values[np.isfinite(values)]
    inside = np.histogram(known, edges)[0]
    outside = [(known < edges[0]).sum(), (known > edges[-1]).sum(), len(values) - len(known)]
    return np.array([*inside, *outside], np.float64)


def test_showers_outside_the_histogram_count(samples: tuple[Showers, Showers, Showers]) -> None:
    """The separation power rises to one while a sample leaves the edges; it never falls back."""
    first, second, _ = samples
    found = []
    for shift in (0.0, 0.2, 0.5, 1.0, 5.0):
        values = {**second.values, "energy_ratio": second.values["energy_ratio"] + shift}
        found.append(separation(first, replace(second, values=values))["energy_ratio"].value)
    assert (np.diff(found) >= 0).all()
    assert found[-1] == pytest.approx(1)
    partly = np.where(np.arange(len(second)) % 5 < 4, 9.0, second.values["energy_ratio"])
    values = {**second.values, "energy_ratio": partly}
    assert separation(first, replace(second, values=values))["energy_ratio"].value > 0.5


def test_profiles_are_wasserstein_distances(samples: tuple[Showers, Showers, Showers]) -> None:
    first, second, _ = samples
    found = profiles(first, second)
    layers = np.arange(45)
    weights = [one.longitudinal.sum(0) for one in (first, second)]
    assert found["longitudinal"].value == pytest.approx(wasserstein_distance(layers, layers, *weights))
    weights = [one.radial.sum(0) for one in (first, second)]
    assert found["radial"].value == pytest.approx(wasserstein_distance(first.rings, first.rings, *weights))


def test_other_plates_are_noticed_and_like_showers_are_not(samples: tuple[Showers, Showers, Showers]) -> None:
    first, like, other = samples
    floor, found = separation(first, like), separation(first, other)
    for name in ("energy_ratio", "cell_energy"):
        assert found[name].value > 1.5 * floor[name].value
    shapes, shifted = profiles(first, like), profiles(first, other)
    assert shifted["longitudinal"].value > 2 * shapes["longitudinal"].value
    same = separation(first, first)
    assert all(one.value == pytest.approx(0, abs=1e-12) for one in same.values())


def test_samples_can_be_taken_apart(samples: tuple[Showers, Showers, Showers]) -> None:
    first, *_ = samples
    part = first.take(np.array([5, 2]))
    assert len(part) == 2
    assert part.features() == pytest.approx(first.features()[[5, 2]])
