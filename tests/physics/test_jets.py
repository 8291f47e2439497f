"""Clustering and substructure against FastJet's own one-event interface and hand-made jets."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.rng import numpy_generator
from hepfm.physics.angularities import angularities
from hepfm.physics.clustering import cluster_jets, events_of_momenta, exclusive_subjets, import_fastjet
from hepfm.physics.kinematics import energy_of, four_momentum, mass_of
from hepfm.physics.substructure import substructure

pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")


def jets(number: int, *, seed: int, axes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return constituents of random jets with this many hard directions around (0, 0)."""
    rng = numpy_generator(seed, "test.substructure")
    lengths = rng.integers(1, 60, number)
    n = int(lengths.sum())
    centre = np.linspace(-0.3, 0.3, axes) if axes > 1 else np.zeros(1)
    pt = rng.exponential(10, n) + 0.1
    eta = centre[rng.integers(0, axes, n)] + 0.05 * rng.normal(size=n)
    phi = 0.05 * rng.normal(size=n)
    return four_momentum(pt, eta, phi, energy_of(pt, eta, np.full(n, 0.14))), lengths


def test_members_add_up_to_their_jet_and_belong_to_its_event() -> None:
    p4, lengths = jets(40, seed=1)
    lengths = np.array([lengths[:20].sum(), 0, lengths[20:].sum()])
    found = cluster_jets(p4, lengths, radius=0.05, min_pt=5.0)
    assert len(found) > 2
    assert set(found.event.tolist()) == {0, 2}
    for jet in range(len(found)):
        members = found.members.row(jet)
        np.testing.assert_allclose(p4[members].sum(axis=0), found.p4[jet], rtol=1e-9, atol=1e-9)
        assert ((members < lengths[0]) == (found.event[jet] == 0)).all()


def test_soft_drop_mass_is_that_of_fastjet_contrib() -> None:
    fastjet, awkward = import_fastjet()
    for axes in (1, 2, 3):
        p4, lengths = jets(200, seed=axes, axes=axes)
        sequence = fastjet.ClusterSequence(
            events_of_momenta(p4, lengths), fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
        )
        reference = sequence.exclusive_jets_softdrop_grooming(njets=1, beta=0.0, symmetry_cut=0.1, R0=0.8)
        mass = awkward.to_numpy(awkward.flatten(reference.msoftdrop, axis=None))
        np.testing.assert_allclose(
            substructure(p4, lengths, radius=0.8).softdrop_mass, np.maximum(mass, 0), rtol=1e-7, atol=1e-4
        )


def test_two_prongs() -> None:
    """Two massless particles 0.6 apart: the mass of the pair, nothing left about two axes."""
    pt, eta, phi = np.array([300.0, 200.0]), np.array([0.3, -0.3]), np.zeros(2)
    p4 = four_momentum(pt, eta, phi, pt * np.cosh(eta))
    found = substructure(p4, np.array([2]), radius=0.8)
    assert found.softdrop_mass[0] == pytest.approx(float(mass_of(p4.sum(axis=0))))
    assert found.tau[0, 0] > 0.1
    np.testing.assert_allclose(found.tau[0, 1:], 0, atol=1e-6)


def test_soft_wide_radiation_is_groomed_away() -> None:
    pt, eta, phi = np.array([300.0, 250.0, 5.0]), np.array([0.05, -0.05, 0.7]), np.zeros(3)
    p4 = four_momentum(pt, eta, phi, pt * np.cosh(eta))
    groomed = substructure(p4, np.array([3]), radius=0.8).softdrop_mass[0]
    assert groomed == pytest.approx(float(mass_of(p4[:2].sum(axis=0))))
    assert groomed < 0.9 * mass_of(p4.sum(axis=0))


def test_one_constituent_and_no_jets() -> None:
    one = substructure(np.array([[5.0, 3.0, 0.0, 4.0]]), np.array([1]), radius=0.8)
    assert one.softdrop_mass[0] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(one.tau, 0, atol=1e-9)
    assert substructure(np.zeros((0, 4)), np.zeros(0, int), radius=0.8).tau.shape == (0, 4)


def test_every_particle_has_a_subjet_however_far_apart_they_are() -> None:
    rng = np.random.default_rng(3)
    lengths = np.full(20, 12)
    pt, eta = rng.exponential(10, 240) + 0.1, rng.uniform(-2, 2, 240)
    phi = rng.uniform(-np.pi, np.pi, 240)
    p4 = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
    subjets = exclusive_subjets(p4, lengths, numbers=[1, 3, 11])
    for number, subjet in zip((1, 3, 11), subjets.reshape(3, 20, 12), strict=True):
        assert all(set(row) == set(range(number)) for row in subjet)
    # From two subjets that are merged comes one of the next smaller number.
    pairs = [
        {(int(a), int(b)) for a, b in zip(coarse, fine, strict=True)}
        for coarse, fine in zip(subjets[1].reshape(20, 12), subjets[2].reshape(20, 12), strict=True)
    ]
    assert all(len(nested) == 11 for nested in pairs)


def test_momentum_fraction_is_that_of_fastjet_contrib() -> None:
    fastjet, awkward = import_fastjet()
    p4, lengths = jets(100, seed=5, axes=2)
    sequence = fastjet.ClusterSequence(
        events_of_momenta(p4, lengths), fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
    )
    reference = sequence.exclusive_jets_softdrop_grooming(njets=1, beta=0.0, symmetry_cut=0.1, R0=0.8)
    expected = awkward.to_numpy(awkward.flatten(reference.symmetrysoftdrop, axis=None))
    found = substructure(p4, lengths, radius=0.8, axes=[2])
    np.testing.assert_allclose(found.zg, np.maximum(expected, 0), rtol=1e-6)
    assert (found.zg[lengths > 1] > 0.1).any()
    assert (found.zg[lengths == 1] == 0).all()
    np.testing.assert_array_equal(found.tau, substructure(p4, lengths, radius=0.8).tau[:, 1:2])


def test_angularities_of_two_prongs() -> None:
    """Massless particles of 300 and 100 GeV 0.4 apart in phi, at equal rapidity: the axis divides 1 : 3."""
    pt, phi = np.array([300.0, 100.0, 50.0]), np.array([0.0, 0.4, 2.0])
    p4 = four_momentum(pt, np.full(3, 0.7), phi, pt * np.cosh(0.7))
    axis = np.arctan2(100 * np.sin(0.4), 300 + 100 * np.cos(0.4))
    found = angularities(p4, np.array([2, 1]), radius=0.4, betas=(0.5, 1, 2))
    expected = [0.75 * (axis / 0.4) ** beta + 0.25 * ((0.4 - axis) / 0.4) ** beta for beta in (0.5, 1, 2)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    np.testing.assert_allclose(found[1], 0, atol=1e-4)
