"""Spectra: bins, what lies beyond them, means over rows and their uncertainty, on samples made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hepfm.core.ragged import Ragged
from hepfm.metrics.generation import jets as jets_module
from hepfm.metrics.generation.jets import JetSample, jet_sample
from hepfm.metrics.generation.observables import observe
from hepfm.metrics.generation.spectra import (
    MAX_BINS,
    binned,
    even_edges,
    jet_spectra,
    log_edges,
    shower_spectra,
)
from hepfm.metrics.showers.sample import Showers, showers
from hepfm.physics.voxels import Layer, Voxels

SMALL = Voxels(tuple(Layer(number, (0.0, 2.0, 4.0), 4) for number in range(3)))


def made_showers() -> Showers:
    """Two showers: 3 GeV in ring 0 of layer 1 and 1 GeV in its ring 1; 2 GeV in ring 1 of layer 2."""
    grid = np.zeros((2, len(SMALL)))
    grid[0, 8], grid[0, 8 + 3] = 3.0, 1.0
    grid[1, 16 + 1] = 2.0
    return showers(grid, np.array([8.0, 4.0]), SMALL, threshold=1e-6)


def made_jets(number: int = 40) -> JetSample:
    """Jets of 2 to 6 constituents of 1 to 20 GeV."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(2, 7, number)
    n = int(lengths.sum())
    pt, eta, phi = rng.uniform(1, 20, n), rng.normal(0, 0.2, n), rng.normal(0, 0.2, n)
    order = np.lexsort((-pt, np.repeat(np.arange(number), lengths)))
    columns = {"part_pt": pt, "part_eta": eta, "part_phi": phi, "part_energy": pt * np.cosh(eta)}
    ragged = {name: Ragged.from_lengths(values[order], lengths) for name, values in columns.items()}
    return jet_sample(ragged, max_constituents=10)


def test_profiles_of_showers_are_mean_energies_of_layers_and_rings() -> None:
    sample = made_showers()
    spectra = {spectrum.axis.name: spectrum for spectrum in shower_spectra(sample)}
    assert list(spectra) == ["energy_ratio", "num_hits", "longitudinal", "radial"]
    assert spectra["longitudinal"].axis.edges.tolist() == [-0.5, 0.5, 1.5, 2.5]
    # The rings are 1 and 3 mm from the axis: the edge between them is half way, the outer ones as far away.
    assert spectra["radial"].axis.edges.tolist() == [0.0, 2.0, 4.0]
    assert spectra["radial"].axis.log_y
    depth, rings = binned(spectra["longitudinal"], sample), binned(spectra["radial"], sample)
    assert depth.value.tolist() == [0.0, 2.0, 1.0]
    assert rings.value.tolist() == [1.5, 1.5]
    assert rings.error == pytest.approx(np.array([1.5, 0.5]) / np.sqrt(2))
    assert depth.rows == 2
    hits = spectra["num_hits"].axis.edges
    assert (hits % 1 == 0.5).all()
    assert binned(spectra["num_hits"], sample).value.sum() == pytest.approx(1.0)


def test_what_lies_beyond_is_in_the_outer_bins_and_what_is_not_a_number_in_none() -> None:
    (mass, *_) = jet_spectra(observe(made_jets(), radius=0.8))
    edges = mass.axis.edges
    last = len(edges) - 2
    values = np.array([-5.0, edges[1], np.nextafter(edges[1], 0), edges[-1], 1e9, np.nan])
    filled = mass.fill(SimpleNamespace(values={"mass": values}))
    assert filled.sum(axis=1).tolist() == [1, 1, 1, 1, 1, 0]
    assert filled[:5].argmax(axis=1).tolist() == [0, 1, 0, last, last]


def test_spectra_of_jets_have_their_units_and_scales() -> None:
    sample = observe(made_jets(), radius=0.8)
    spectra = {spectrum.axis.name: spectrum for spectrum in jet_spectra(sample)}
    assert list(spectra) == ["mass", "pt", "multiplicity", "tau21", "tau32", "constituent_pt"]
    assert spectra["mass"].axis.label == "jet mass [GeV]"
    multiplicity = spectra["multiplicity"].axis.edges
    assert np.diff(multiplicity) == pytest.approx(1.0)
    assert multiplicity[0] % 1 == 0.5
    constituents = spectra["constituent_pt"]
    assert constituents.axis.log_x
    assert constituents.axis.log_y
    drawn = binned(constituents, sample)
    lengths = sample.jets.lengths
    assert drawn.value.sum() == pytest.approx(lengths.mean())
    pt = np.hypot(sample.jets.p4[:, 1], sample.jets.p4[:, 2])
    expected, _ = np.histogram(pt, constituents.axis.edges)
    assert drawn.value == pytest.approx(expected / len(lengths))
    per_jet = [
        np.histogram(part, constituents.axis.edges)[0] for part in np.split(pt, np.cumsum(lengths)[:-1])
    ]
    assert drawn.error == pytest.approx(np.std(per_jet, axis=0) / np.sqrt(len(lengths)))


def test_even_edges() -> None:
    assert even_edges(np.array([np.nan])).tolist() == np.linspace(0, 1, 11).tolist()
    same = even_edges(np.full(9, 4.0))
    assert same[0] <= 2.0 < 4.0 < 6.0 <= same[-1]
    many = even_edges(np.linspace(100, 200, 10_000))
    assert many[0] <= 100 - 0.14 * 100
    assert many[-1] >= 200 + 0.14 * 100
    assert MAX_BINS / 3 < len(many) - 1 <= MAX_BINS
    assert np.diff(many) == pytest.approx(np.diff(many)[0])
    assert even_edges(np.linspace(1, 10, 400))[0] == 0.0  # positive numbers have no negative bins
    assert even_edges(np.linspace(-10, 10, 400))[0] <= -10
    counts = even_edges(np.repeat([0.0, 1.0, 2.0], 50), whole=True)
    assert counts.tolist() == [-0.5, 0.5, 1.5, 2.5]


def test_log_edges() -> None:
    edges = log_edges(np.concatenate([np.geomspace(1.0, 100.0, 1001), [0.0]]))
    assert np.diff(np.log10(edges)) == pytest.approx(1 / 6)
    assert edges[0] <= 1.0 < 100.0 <= edges[-1]
    assert edges[0] > 0.4
    assert edges[-1] < 250.0


def test_blocks_hold_every_jet_once_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jets_module, "_CHUNK", 100)
    sample = made_jets(60)
    seen, sizes = [], []
    for numbers, padded in sample.blocks():
        longest = int(sample.lengths[numbers].max())
        assert padded.shape == (len(numbers), longest, 3)
        assert len(numbers) * longest**2 <= 100 or len(numbers) == 1
        np.testing.assert_array_equal(padded, sample.take(numbers).padded(longest))
        seen += numbers.tolist()
        sizes.append(len(numbers) * longest**2)
    assert sorted(seen) == list(range(60))
    assert np.mean(sizes) > 50  # full, not jet by jet
