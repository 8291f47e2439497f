"""D'Agostini's iteration against cases that can be solved by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.methods.bayesian_iteration import Response, bayesian_iteration


def response(seed: int = 0) -> Response:
    rng = np.random.default_rng(seed)
    generated = np.array([500.0, 800.0, 300.0])
    share = rng.uniform(0.05, 1, (3, 3)) + 3 * np.eye(3)
    share *= np.array([0.9, 0.8, 0.6]) / share.sum(axis=0)
    return Response(share * generated, generated, np.array([10.0, 5.0, 0.0]))


def test_the_simulation_itself_is_a_fixed_point() -> None:
    given = response()
    data = given.migration.sum(axis=1) + given.fakes
    np.testing.assert_allclose(bayesian_iteration(data, given, iterations=7), given.generated, rtol=1e-12)


def test_many_iterations_solve_the_equations() -> None:
    given = response()
    truth = np.array([200.0, 900.0, 700.0])
    data = given.migration / given.generated @ truth + given.fakes
    found = bayesian_iteration(data, given, iterations=5000)
    np.testing.assert_allclose(found, truth, rtol=1e-3)
    few = bayesian_iteration(data, given, iterations=1)
    assert np.abs(few - truth).sum() > 10 * np.abs(found - truth).sum()


def test_without_smearing_one_iteration_divides_by_the_efficiency() -> None:
    given = Response(np.diag([80.0, 30.0]), np.array([100.0, 60.0]), np.zeros(2))
    found = bayesian_iteration(np.array([40.0, 90.0]), given, iterations=1)
    np.testing.assert_allclose(found, [50.0, 180.0])


def test_events_are_counted_by_level() -> None:
    given = Response.of(
        np.array([0, 1, 0, 7]),
        np.array([1, 9, 1, 0]),
        np.array([1.0, 2.0, 4.0, 8.0]),
        bins=(2, 2),
        detected=np.array([True, True, True, False]),
        generated=np.array([True, False, True, True]),
    )
    np.testing.assert_array_equal(given.migration, [[0, 5], [0, 0]])
    np.testing.assert_array_equal(given.generated, [8, 5])
    np.testing.assert_array_equal(given.fakes, [0, 2])


def test_bins_that_nothing_reaches_stay_empty() -> None:
    given = Response(np.diag([80.0, 0.0]), np.array([100.0, 0.0]), np.zeros(2))
    assert bayesian_iteration(np.array([40.0, 3.0]), given, iterations=3) == pytest.approx([50.0, 0.0])
