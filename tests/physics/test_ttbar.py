"""Neutrinos of dileptonic top pairs: exact decays are solved, impossible ones are said to be so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import vector
from hypothesis import given, settings
from hypothesis import strategies as st
from top_decays import TOP, W, top_pairs

from hepfm.physics.kinematics import mass_of
from hepfm.physics.neutrino_pairs import neutrino_pairs
from hepfm.physics.ttbar import DileptonEvents, likelier_pairing, nearest_jets, reconstruct


def solve(pairs, **changes):  # type: ignore[no-untyped-def]
    given = {"bottoms": pairs.bottoms, "leptons": pairs.leptons, "missing": pairs.missing, **changes}
    return neutrino_pairs(**given, top_mass=TOP, w_mass=W)


def events_of(pairs, **changes):  # type: ignore[no-untyped-def]
    events = DileptonEvents(pairs.bottoms, pairs.leptons, pairs.missing, np.ones(len(pairs.bottoms), bool))
    return replace(events, **changes)


@given(seed=st.integers(0, 10**6), boost=st.floats(5.0, 800.0))
@settings(max_examples=30, deadline=None)
def test_true_neutrinos_are_among_the_solutions(seed: int, boost: float) -> None:
    pairs = top_pairs(50, seed=seed, boost=boost)
    found, exists = solve(pairs)
    distance = np.where(exists, np.abs(found - pairs.neutrinos[:, None]).max((2, 3)), np.inf).min(1)
    # Where two solutions nearly coincide, or b and lepton have one rapidity, rounding is enhanced.
    assert np.median(distance) < 1e-6
    assert (distance < 1.0).mean() >= 0.96


def test_every_solution_has_the_masses_and_the_missing_momentum() -> None:
    pairs = top_pairs(4000, seed=1)
    # Also where nothing is exact, and for the wrong pairing.
    rng = np.random.default_rng(2)
    for bottoms in (pairs.bottoms * rng.normal(1, 0.1, (4000, 2, 1)), pairs.bottoms[:, ::-1]):
        found, exists = solve(pairs, bottoms=bottoms)
        assert 0.02 < exists.any(1).mean() < 0.98
        with np.errstate(invalid="ignore"):
            w = mass_of(pairs.leptons[:, None] + found)[exists]
            top = mass_of(pairs.leptons[:, None] + bottoms[:, None] + found)[exists]
        assert np.quantile(np.abs(w - W), 0.999) < 1e-3
        assert np.quantile(np.abs(top - TOP), 0.999) < 1e-2
        np.testing.assert_allclose(
            found.sum(2)[exists][:, 1:3], np.repeat(pairs.missing[:, None], 4, 1)[exists], atol=1e-6
        )
        assert (found[exists][..., 0] > 0).all()
        nu = vector.array({k: found[exists][..., n] for n, k in enumerate(("E", "px", "py", "pz"))})
        assert np.quantile(np.abs(nu.mass / nu.E), 0.999) < 0.05


def test_solutions_are_real_and_come_in_pairs() -> None:
    _, exists = solve(top_pairs(3000, seed=3))
    assert exists.any(1).mean() > 0.999
    assert np.isin(exists.sum(1), (2, 4)).mean() > 0.995


def test_solutions_do_not_depend_on_the_event_beside_them_nor_on_the_azimuth() -> None:
    pairs = top_pairs(200, seed=4)
    found, exists = solve(pairs)
    alone, exists_alone = neutrino_pairs(
        pairs.bottoms[7:8], pairs.leptons[7:8], pairs.missing[7:8], top_mass=TOP, w_mass=W
    )
    np.testing.assert_array_equal(exists_alone[0], exists[7])
    np.testing.assert_allclose(alone[0], found[7])
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]]
    turned, exists_turned = neutrino_pairs(
        pairs.bottoms @ turn.T,
        pairs.leptons @ turn.T,
        pairs.missing @ turn[1:3, 1:3].T,
        top_mass=TOP,
        w_mass=W,
    )
    assert (exists_turned.sum(1) == exists.sum(1)).mean() > 0.99
    first = np.where(exists[..., None], found[..., 0], np.inf).min((1, 2))
    again = np.where(exists_turned[..., None], turned[..., 0], np.inf).min((1, 2))
    assert np.isclose(first, again, rtol=1e-4).mean() > 0.97


def test_impossible_events_have_no_solution_and_no_numbers() -> None:
    pairs = top_pairs(300, seed=5)
    # A lepton and a b quark that are together heavier than the top leave nothing for a neutrino.
    heavy = pairs.bottoms.copy()
    heavy[:, 0] = np.array([2000.0, 0.0, 1200.0, 1599.0])
    heavy[:, 1] = np.array([2000.0, 0.0, -1200.0, -1599.0])
    found, exists = solve(pairs, bottoms=heavy)
    assert exists.mean() < 0.02
    assert np.isnan(found[~exists]).all()
    solutions = reconstruct(events_of(pairs, jets=heavy), top_mass=TOP, w_mass=W)
    assert solutions.solved.mean() < 0.05
    assert np.isnan(solutions.neutrinos[~solutions.solved]).all()
    assert (solutions.pairing[~solutions.solved] == -1).all()


def test_events_that_lack_an_object_are_not_solved() -> None:
    pairs = top_pairs(60, seed=6)
    complete = np.arange(60) % 3 > 0
    leptons = np.where(complete[:, None, None], pairs.leptons, np.nan)
    solutions = reconstruct(events_of(pairs, leptons=leptons, complete=complete), top_mass=TOP, w_mass=W)
    assert (solutions.solved == complete).all()
    none = events_of(top_pairs(0))
    assert reconstruct(none).neutrinos.shape == (0, 2, 4)


@pytest.mark.parametrize("choice", ["smallest_mass", "lepton_bottom_mass"])
def test_the_pairing_is_found_whatever_the_order_of_the_jets(choice: str) -> None:
    pairs = top_pairs(2000, seed=7)
    events = events_of(pairs)
    swapped = replace(events, jets=pairs.bottoms[:, ::-1])
    first, second = (
        reconstruct(one, choice=choice, top_mass=TOP, w_mass=W)  # type: ignore[arg-type]
        for one in (events, swapped)
    )
    assert first.solved.all()
    assert (first.pairing == 1 - second.pairing).mean() > 0.999
    np.testing.assert_allclose(first.bottoms, second.bottoms)
    assert (first.pairing == 0).mean() > 0.85
    likely = likelier_pairing(events)
    assert 0.6 < (likely == 0).mean() < 0.95
    if choice == "lepton_bottom_mass":
        both = reconstruct(events, top_mass=TOP, w_mass=W).pairing != first.pairing
        assert (first.pairing[both] == likely[both]).all()


def test_smeared_attempts_solve_more_events_and_change_no_solved_one() -> None:
    pairs = top_pairs(1500, seed=8)
    rng = np.random.default_rng(9)
    events = events_of(pairs, jets=pairs.bottoms * rng.normal(1, 0.15, (1500, 2, 1)))
    once = reconstruct(events, top_mass=TOP, w_mass=W)
    more = reconstruct(events, top_mass=TOP, w_mass=W, smearing=rng.normal(1, 0.15, (10, 1500, 2)))
    assert more.solved.mean() > once.solved.mean() + 0.1
    np.testing.assert_array_equal(more.neutrinos[once.solved], once.neutrinos[once.solved])


def test_a_wrong_mass_or_a_wrong_missing_momentum_solves_fewer() -> None:
    pairs = top_pairs(1000, seed=10)
    right = solve(pairs)[1].any(1).mean()
    light = neutrino_pairs(pairs.bottoms, pairs.leptons, pairs.missing, top_mass=140.0, w_mass=W)[1]
    moved = solve(pairs, missing=pairs.missing + 80.0)[1]
    assert light.any(1).mean() < 0.8 * right
    assert moved.any(1).mean() < 0.8 * right


def test_nearest_jets_are_two_different_ones() -> None:
    pairs = top_pairs(100, seed=11)
    other = np.repeat(np.array([[[50.0, 30.0, 40.0, 0.0]]]), 100, axis=0)
    jets = np.concatenate([other, pairs.bottoms[:, ::-1]], axis=1)
    mask = np.ones((100, 3), bool)
    mask[0, 1:] = False
    found = nearest_jets(pairs.bottoms, jets, mask)
    assert found[0].tolist() == [-1, -1]
    assert (found[1:] == [2, 1]).all()
    same = nearest_jets(np.repeat(pairs.bottoms[:, :1], 2, axis=1), jets, mask)
    assert (same[1:, 0] != same[1:, 1]).all()
