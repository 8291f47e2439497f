"""MMD and proxy A-distance: against sums over pairs, known answers, and rows that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepfm.metrics.bootstrap import bootstrap_weights
from hepfm.metrics.domain_shift import a_distance, held_out_correct, median_distance, rbf_mmd


def two(n: int, apart: float, *, seed: int, dim: int = 3) -> tuple[Any, Any]:
    """Return two samples of n normal vectors each, `apart` along every axis, and which are of the second."""
    second = np.arange(2 * n) >= n
    return np.random.default_rng(seed).normal(size=(2 * n, dim)) + apart * second[:, None], second


def summed(x: Any, second: Any, weights: Any, groups: Any, width: float) -> float:
    """Return the estimate as its definition has it, pair by pair."""
    total, number = np.zeros((2, 2)), np.zeros((2, 2))
    for i in range(len(x)):
        for j in range(len(x)):
            if groups[i] != groups[j]:
                k = np.exp(-np.sum((x[i] - x[j]) ** 2) / (2 * width**2))
                pair = int(second[i]), int(second[j])
                total[pair] += weights[i] * weights[j] * k
                number[pair] += weights[i] * weights[j]
    mean = total / number
    return float(mean[0, 0] + mean[1, 1] - mean[0, 1] - mean[1, 0])


@pytest.mark.parametrize("grouped", [False, True])
def test_mmd_is_the_sum_over_pairs(grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.metrics.domain_shift._BLOCK", 7)
    x, second = two(15, 0.7, seed=1)
    x, second = x[:26], second[:26]
    groups = np.arange(26) % 15 if grouped else np.arange(26)
    weights = np.stack(
        [np.ones(26), *list(bootstrap_weights(26, resamples=20))[:2], np.linspace(-0.2, 2, 26)]
    )
    found = rbf_mmd(x, second, weights, groups_N=groups, width=1.3)
    assert found == pytest.approx([summed(x, second, one, groups, 1.3) for one in weights], rel=1e-10)


def test_mmd_of_linear_size_is_that_of_scikit_learn() -> None:
    from sklearn.metrics.pairwise import rbf_kernel

    x, second = two(40, 0.3, seed=2, dim=5)
    a, b, width = x[~second], x[second], 2.0
    kaa, kbb, kab = (rbf_kernel(u, v, gamma=1 / (2 * width**2)) for u, v in ((a, a), (b, b), (a, b)))
    expected = (kaa.sum() - 40) / (40 * 39) + (kbb.sum() - 40) / (40 * 39) - 2 * kab.mean()
    found = rbf_mmd(x, second, np.ones((1, 80)), groups_N=np.arange(80), width=width)
    assert found[0] == pytest.approx(expected)


def test_equal_distributions_are_no_distance_apart_on_average() -> None:
    """Both are unbiased: over many pairs of samples the mean is 0 within its error."""
    mmds, distances = [], []
    for seed in range(60):
        x, second = two(40, 0.0, seed=seed)
        ones, groups = np.ones((1, 80)), np.arange(80)
        mmds.append(rbf_mmd(x, second, ones, groups_N=groups, width=2.0)[0])
        rng = np.random.default_rng(seed)
        correct = held_out_correct(x, second, ones[0], groups_N=groups, rng=rng)
        distances.append(a_distance(correct, second, ones)[0])
    for values, single in ((mmds, 0.02), (distances, 0.4)):
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 3 * error
        assert np.std(values) < single


def test_known_distances() -> None:
    """Far apart the classifier is always right; a shift along one axis has the error of a normal tail."""
    from scipy.stats import norm

    x, second = two(2000, 20.0, seed=3)
    ones, groups = np.ones((1, 4000)), np.arange(4000)
    correct = held_out_correct(x, second, ones[0], groups_N=groups, rng=np.random.default_rng(0))
    assert a_distance(correct, second, ones)[0] == 2.0
    x, second = two(2000, 0.5, seed=4, dim=4)  # 1 apart altogether
    correct = held_out_correct(x, second, ones[0], groups_N=groups, rng=np.random.default_rng(0))
    assert a_distance(correct, second, ones)[0] == pytest.approx(2 - 4 * norm.cdf(-0.5), abs=0.06)
    # <k> of normal vectors is (1 + 2 s^2 / w^2)^(-D/2), less by exp(-m^2 / 2(w^2 + 2 s^2)) across.
    width, within = 2.0, (1 + 2 / 4) ** -2
    expected = 2 * within * (1 - np.exp(-1 / (2 * (4 + 2))))
    assert rbf_mmd(x, second, ones, groups_N=groups, width=width)[0] == pytest.approx(expected, rel=0.1)


def test_samples_of_different_sizes_and_weights_are_judged_evenly() -> None:
    x = np.random.default_rng(5).normal(size=(600, 2))
    second = np.arange(600) >= 540
    weights = np.where(second, 3.0, 1.0)
    correct = held_out_correct(x, second, weights, groups_N=np.arange(600), rng=np.random.default_rng(0))
    assert a_distance(correct, second, weights[None])[0] == pytest.approx(0.0, abs=0.35)
    assert 0.2 < correct[second].mean() < 0.8  # not all called by the larger sample
    always = np.zeros(600, bool)
    always[~second] = True
    assert a_distance(always, second, weights[None])[0] == pytest.approx(0.0)


def test_twins_in_both_samples_do_not_hide_a_shift_or_make_one() -> None:
    """Rows of one event are nearly equal in both samples: counted as pairs they would pull the MMD below 0,
    and judged by a classifier that knows their twin they would be called wrong more often than by chance."""
    rng = np.random.default_rng(6)
    event = np.tile(rng.normal(size=(150, 20)), (2, 1))
    x, second = event + 0.01 * rng.normal(size=event.shape), np.arange(300) >= 150
    ones, twins = np.ones((1, 300)), np.arange(300) % 150
    values = [rbf_mmd(x, second, ones, groups_N=groups, width=6.0)[0] for groups in (np.arange(300), twins)]
    assert values[0] < 0
    assert values[1] == pytest.approx(0.0, abs=abs(values[0]) / 3)
    found = [
        a_distance(
            held_out_correct(x, second, ones[0], groups_N=groups, rng=np.random.default_rng(0)), second, ones
        )[0]
        for groups in (np.arange(300), twins)
    ]
    assert found[0] < -0.3 < found[1]


def test_the_width_is_the_median_distance_and_never_zero() -> None:
    x = np.random.default_rng(7).normal(size=(30, 2))
    every = [np.linalg.norm(x[i] - x[j]) for i in range(30) for j in range(i)]
    assert median_distance(x, rng=np.random.default_rng(0)) == pytest.approx(np.median(every))
    assert median_distance(np.ones((30, 2)), rng=np.random.default_rng(0)) == 1.0
    second = np.arange(30) >= 15
    same = rbf_mmd(np.ones((30, 2)), second, np.ones((1, 30)), groups_N=np.arange(30), width=1.0)
    assert same[0] == pytest.approx(0.0)
    nothing = rbf_mmd(x, second, np.zeros((1, 30)), groups_N=np.arange(30), width=1.0)
    assert np.isnan(nothing[0])
    assert np.isnan(a_distance(second, second, np.zeros((1, 30)))[0])
