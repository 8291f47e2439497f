"""The curve of significance improvement against its definition and scikit-learn's ROC curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.improvement_curve import improvement_curve
from hepfm.metrics.sculpting import sculpting


def sample(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = numpy_generator(1, "test.improvement")
    signal = rng.random(count) < 0.3
    return np.round(rng.normal(signal.astype(float), 1), 2), signal


def test_it_is_the_roc_curve() -> None:
    score, signal = sample()
    curve = improvement_curve(score, signal)
    background, efficiency, _ = roc_curve(signal, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.background_efficiency, background[1:])
    np.testing.assert_allclose(curve.signal_efficiency, efficiency[1:])


def test_the_maximum_is_over_thresholds_with_enough_background() -> None:
    score, signal = sample()
    background, efficiency, _ = roc_curve(signal, score, drop_intermediate=False)
    passed = np.round(background * (~signal).sum())
    for least in (10, 25, 400):
        best = improvement_curve(score, signal, least=least).best()
        assert best is not None
        kept = passed >= least
        assert best[0] == pytest.approx((efficiency[kept] / np.sqrt(background[kept])).max())
        assert best[3] >= least
    assert improvement_curve(score, signal, least=10**6).best() is None


def test_efficiencies_on_a_grid_are_those_at_the_threshold() -> None:
    score, signal = sample()
    curve = improvement_curve(score, signal)
    grid = np.array([1.0, 0.1, 0.02, 1e-4])
    found = curve.at_background(grid)
    for efficiency, value in zip(grid[:3], found[:3], strict=True):
        allowed = [s for s in np.unique(score) if (score[~signal] >= s).mean() <= efficiency]
        assert value == pytest.approx((score[signal] >= min(allowed)).mean())
    assert np.isnan(found[3])  # less than the least number of events passes


def test_random_scores_improve_nothing() -> None:
    rng = numpy_generator(2, "test.improvement")
    best = improvement_curve(rng.random(20_000), rng.random(20_000) < 0.5).best()
    assert best is not None
    assert best[0] == pytest.approx(1, abs=0.35)


def test_weights_count_as_repeated_events() -> None:
    score, signal = sample(500)
    counts = numpy_generator(3, "test.improvement").integers(1, 4, len(score))
    weighted = improvement_curve(score, signal, counts.astype(float), least=1)
    repeated = improvement_curve(np.repeat(score, counts), np.repeat(signal, counts), least=1)
    np.testing.assert_allclose(weighted.signal_efficiency, repeated.signal_efficiency)
    np.testing.assert_allclose(weighted.background_efficiency, repeated.background_efficiency)


def test_bad_input() -> None:
    score, signal = sample(50)
    with pytest.raises(DataError, match="weights are negative"):
        improvement_curve(score, signal, np.where(signal, -1.0, 1.0))
    with pytest.raises(DataError, match="needs signal and background"):
        improvement_curve(score, np.zeros(50, bool))
    with pytest.raises(DataError, match="sums of weights 0"):
        improvement_curve(score, signal, np.where(signal, 0.0, 1.0))


def test_a_cut_on_the_field_sculpts_and_a_random_one_does_not() -> None:
    rng = numpy_generator(4, "test.improvement")
    values, edges = rng.exponential(1, 5000), np.linspace(0, 8, 30)
    p = [sculpting(values, rng.random(5000) < 0.05, edges).p for _ in range(100)]  # type: ignore[union-attr]
    assert np.mean(np.array(p) < 0.05) < 0.13
    cut = sculpting(values, rng.random(5000) < 0.05 * (1 + values), edges)
    assert cut is not None
    assert cut.p < 1e-3
    assert cut.ks_p < 1e-3
    assert sculpting(values, np.zeros(5000, bool), edges) is None
