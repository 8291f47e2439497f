"""Comparison of histograms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hepfm.metrics.binned import chi_squared, replica_chi_squared, triangular_discriminator

RNG = np.random.default_rng


def test_chi_squared_of_uncorrelated_bins_is_scipys() -> None:
    first, second = np.array([10.0, 20.0, 35.0]), np.array([12.0, 18.0, 30.0])
    found = chi_squared(first, second, np.diag([4.0, 9.0, 16.0]))
    expected = (4 / 4) + (4 / 9) + (25 / 16)
    assert found.value == pytest.approx(expected)
    assert found.degrees == 3
    assert found.p == pytest.approx(stats.chi2.sf(expected, 3))


def test_directions_without_variance_are_left_out() -> None:
    covariance = np.array([[1.0, -1.0], [-1.0, 1.0]])  # of two shares that add up to 1
    found = chi_squared(np.array([0.6, 0.4]), np.array([0.5, 0.5]), covariance)
    assert found.degrees == 1
    assert found.value == pytest.approx(0.01)


@pytest.mark.parametrize("replicas", [9, 60])
def test_p_values_with_estimated_covariances_are_uniform(replicas: int) -> None:
    """However few the replicas: a covariance of nine for five bins is far from the true one."""
    rng = RNG(1)
    mixing = rng.normal(size=(5, 5))
    p = []
    for _ in range(600):
        drawn = rng.normal(size=(replicas, 5)) @ mixing
        p.append(replica_chi_squared(rng.normal(size=5) @ mixing, np.zeros(5), drawn).p)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_few_replicas_use_variances_alone() -> None:
    drawn = RNG(2).normal(size=(5, 8)) * np.arange(1, 9)
    found = replica_chi_squared(np.ones(8), np.zeros(8), drawn)
    assert found.value == pytest.approx((1 / drawn.var(axis=0, ddof=1)).sum())


def test_known_variances_are_added() -> None:
    drawn = RNG(3).normal(size=(50, 2))
    alone = replica_chi_squared(np.ones(2), np.zeros(2), drawn)
    more = replica_chi_squared(np.ones(2), np.zeros(2), drawn, np.full(2, 100.0))
    assert more.value < alone.value / 20


def test_triangular_discriminator() -> None:
    p = np.array([1.0, 2.0, 3.0])
    assert triangular_discriminator(p, 5 * p) == pytest.approx(0)
    assert triangular_discriminator(np.array([1.0, 0, 0]), np.array([0, 1.0, 1.0])) == 1
    q = np.array([2.0, 2.0, 2.0])
    expected = 0.5 * sum((a / 6 - b / 6) ** 2 / (a / 6 + b / 6) for a, b in zip(p, q, strict=True))
    assert triangular_discriminator(p, q) == pytest.approx(expected)
