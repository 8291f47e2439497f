"""Centred kernel alignment against its definition, its symmetries, and what it gives for unrelated rows."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.metrics.cka import BatchHsic, gram, unbiased_hsic


def value(x: np.ndarray, y: np.ndarray, batches: int = 1) -> float:
    cut = np.array_split(np.arange(len(x)), batches)
    return float(BatchHsic.of([x], [y], cut).cka()[0, 0])


def biased(x: np.ndarray, y: np.ndarray) -> float:
    """The plain estimate from centred Gram matrices (1905.00414, eq. 3 and 4)."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, m = (centre @ z @ z.T @ centre for z in (x, y))
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def test_the_estimate_is_the_mean_over_all_quadruples_of_rows() -> None:
    """HSIC = E[k l] + E[k] E[l] - 2 E_i[E_j k E_q l], each mean over rows that are all different."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    k, m = x @ x.T, y @ y.T
    direct = np.mean(
        [
            k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]
            for i, j, q, r in permutations(range(6), 4)
        ]
    )
    assert unbiased_hsic(gram(x), gram(y)) == pytest.approx(direct, rel=1e-10)


def test_with_many_rows_it_is_the_plain_estimate_from_gram_matrices() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 4))
    y = np.concatenate([x[:, :2], rng.normal(size=(1500, 3))], axis=1)
    assert value(x, y) == pytest.approx(biased(x, y), abs=5e-3)
    # Two of four and of five equal directions: 2 / sqrt(4 * 5).
    assert value(x, y) == pytest.approx(2 / np.sqrt(20), abs=0.03)
    assert value(x, y, batches=30) == pytest.approx(value(x, y), abs=0.02)


def test_rotations_shifts_and_scales_change_nothing_and_other_maps_do() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 5)) * [1, 2, 3, 4, 5]
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert value(x, x) == pytest.approx(1.0)
    assert value(x, 3 * x @ turn + 1e4) == pytest.approx(1.0, abs=1e-6)
    assert value(x, x / [1, 2, 3, 4, 5]) < 0.95


def test_unrelated_rows_have_none_where_the_plain_estimate_sees_much() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(400, 60)), rng.normal(size=(400, 60))
    assert biased(x, y) > 0.12
    assert value(x, y) == pytest.approx(0.0, abs=0.02)
    # In batches of fewer rows than features too.
    assert value(x, y, batches=20) == pytest.approx(0.0, abs=0.06)
    assert biased(x[:20], y[:20]) > 0.6


def test_a_representation_that_does_not_vary_has_no_value_and_few_rows_are_refused() -> None:
    x = np.random.default_rng(4).normal(size=(40, 3))
    assert np.isnan(value(x, np.ones((40, 2))))
    with pytest.raises(DataError, match="batches of 4 rows or more"):
        value(x, x, batches=11)


def test_weights_of_batches_choose_batches() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(80, 3))
    y = np.concatenate([x[:40], rng.normal(size=(40, 3))])
    hsic = BatchHsic.of([x], [y], np.array_split(np.arange(80), 4))
    assert hsic.cka(np.array([1.0, 1, 0, 0]))[0, 0] == pytest.approx(1.0)
    assert abs(hsic.cka(np.array([0.0, 0, 1, 1]))[0, 0]) < 0.4
