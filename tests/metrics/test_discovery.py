"""What a search can expect of a score."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from hepfm.core.errors import DataError
from hepfm.metrics.discovery import (
    asimov_significance,
    expected_significance,
    expected_significance_statistic,
    largest_improvement,
    largest_improvement_statistic,
)
from hepfm.metrics.predictions import Predictions

CLASSES = ("B", "S")
OPTIONS = {"signal": "S", "background": "B", "least_background": 10}


def predictions(
    shift: float, rows: int = 4000, *, seed: int = 0, weights: tuple[float, float] = (1, 1)
) -> Predictions:
    """Return rows of two Gaussian classes; a class's weights sum to `weights` times its rows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    p = 1 / (1 + np.exp(-(rng.normal(size=rows) + shift * labels)))
    return Predictions(labels, np.stack([1 - p, p], 1), CLASSES, np.array(weights, float)[labels])


@pytest.mark.parametrize("uncertainty", [0.05, 0.3])
def test_one_bin_is_the_profile_likelihood_ratio_of_the_expected_data(uncertainty: float) -> None:
    s, b = 12.0, 30.0
    tau = 1 / (b * uncertainty**2)  # an auxiliary measurement of tau b with this relative uncertainty

    def minus_log(mean: float, background: float) -> float:
        return -((s + b) * np.log(mean) - mean + tau * b * np.log(tau * background) - tau * background)

    free = minus_log(s + b, b)
    fixed = minimize(lambda x: minus_log(x[0], x[0]), [b], method="Nelder-Mead", tol=1e-10).fun
    expected = np.sqrt(2 * (fixed - free))
    found = asimov_significance(np.array([s]), np.array([b]), uncertainty=uncertainty)
    assert found == pytest.approx(expected, rel=1e-5)


def test_bins_share_one_factor_of_the_background() -> None:
    s, b, u = np.array([3.0, 1.0, 0.5]), np.array([2.0, 20.0, 60.0]), 0.2
    n = s + b

    def minus_log(means: np.ndarray, factor: float) -> float:
        return float((means - n * np.log(means)).sum()) + (factor - np.log(factor)) / u**2

    fixed = minimize_scalar(
        lambda f: minus_log(f * b, f), bounds=(0.3, 3), method="bounded", options={"xatol": 1e-10}
    ).fun
    expected = np.sqrt(2 * (fixed - minus_log(n, 1.0)))
    assert asimov_significance(s, b, uncertainty=u) == pytest.approx(expected, rel=1e-6)


def test_without_uncertainty_bins_are_independent() -> None:
    s, b = np.array([3.0, 1.0]), np.array([10.0, 0.5])
    both = asimov_significance(s, b, uncertainty=0)
    single = [asimov_significance(s[k : k + 1], b[k : k + 1], uncertainty=0) for k in range(2)]
    assert np.hypot(*single) == pytest.approx(both, rel=1e-6)
    assert asimov_significance(s, b, uncertainty=1e-4) == pytest.approx(both, rel=1e-6)


def test_a_score_that_says_nothing_is_a_count_of_all_events() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 20000)
    same = Predictions(labels, np.full((20000, 2), 0.5), CLASSES, np.array([0.1, 0.01])[labels])
    counted = asimov_significance(
        np.array([0.01 * (labels == 1).sum()]), np.array([0.1 * (labels == 0).sum()]), uncertainty=0.1
    )
    found = expected_significance(same, uncertainty=0.1, **OPTIONS).value
    assert found == pytest.approx(counted, rel=1e-9)
    assert largest_improvement(same, **OPTIONS).value == pytest.approx(1.0)


def test_better_scores_are_worth_more() -> None:
    values = [
        expected_significance(predictions(shift, weights=(1, 0.02)), uncertainty=0.05, **OPTIONS).value
        for shift in (0.0, 1.0, 2.0)
    ]
    assert values[0] < values[1] < values[2]
    gains = [largest_improvement(predictions(shift), **OPTIONS).value for shift in (0.0, 1.0, 2.0)]
    assert gains[0] < gains[1] < gains[2]


def test_only_the_order_of_scores_counts() -> None:
    one = predictions(1.0)
    p = one.probabilities[:, 1] ** 3
    other = Predictions(one.labels, np.stack([1 - p, p], 1), CLASSES, one.weights)
    for statistic in (
        lambda x: expected_significance_statistic(x, uncertainty=0.1, **OPTIONS),
        lambda x: largest_improvement_statistic(x, **OPTIONS),
    ):
        assert statistic(one)(one.row_weights) == pytest.approx(statistic(other)(one.row_weights), rel=1e-12)


def test_luminosity_multiplies_yields() -> None:
    few, many = (predictions(1.0, weights=(scale, 0.01 * scale)) for scale in (1, 4))
    values = [expected_significance(x, uncertainty=0, **OPTIONS).value for x in (few, many)]
    assert values[1] == pytest.approx(2 * values[0], rel=1e-6)


def test_too_little_background_is_refused() -> None:
    few = predictions(1.0, rows=12)
    for measure in (
        lambda: expected_significance(few, uncertainty=0.1, **OPTIONS),
        lambda: largest_improvement(few, **OPTIONS),
    ):
        with pytest.raises(DataError, match="take more test rows"):
            measure()


def test_a_score_of_chance_gains_nothing_but_fluctuations() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 40_000)
    p = rng.uniform(0.01, 0.99, len(labels))
    chance = Predictions(labels, np.stack([1 - p, p], 1), CLASSES, np.array([0.1, 0.01])[labels])
    counted = asimov_significance(
        np.array([0.01 * (labels == 1).sum()]), np.array([0.1 * (labels == 0).sum()]), uncertainty=0.1
    )
    found = expected_significance(chance, uncertainty=0.1, **OPTIONS).value
    assert counted <= found < 1.1 * counted


def test_intervals_cover() -> None:
    """Of 100 samples about 68 % have the value of a very large one in their interval; bins are the same."""
    options = {"signal": "S", "background": "B", "uncertainty": 0.1}
    large, small = 200_000, 2_000
    one = predictions(1.0, large, seed=999, weights=(0.01, 0.001))
    truth = expected_significance(one, least_background=large // 100, resamples=20, **options).value
    inside = 0
    for seed in range(100):
        sample = predictions(1.0, small, seed=seed, weights=(1.0, 0.1))
        found = expected_significance(sample, least_background=small // 100, resamples=50, **options)
        inside += found.low <= truth <= found.high
    # 68 +- 5 expected; ten more for bins that fluctuate across the least number of rows.
    assert 50 <= inside <= 85
