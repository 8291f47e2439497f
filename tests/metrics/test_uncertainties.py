"""Intervals cover what they claim; errors of the test rows are what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from hepfm.core.errors import ConfigError
from hepfm.metrics.accuracy import accuracy_statistic
from hepfm.metrics.auc import macro_auc
from hepfm.metrics.bootstrap import bootstrap_measurement, bootstrap_weights, percentile_interval
from hepfm.metrics.intervals import clopper_pearson, upper_limit
from hepfm.metrics.paired import excludes, paired_bootstrap
from hepfm.metrics.predictions import Predictions


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 60), p=st.floats(0.01, 0.99), level=st.sampled_from([0.6827, 0.95]))
def test_clopper_pearson_covers_at_least_its_level(n, p, level):
    """Exact: sum the binomial probabilities of the counts whose interval holds the truth."""
    held = sum(
        binom.pmf(k, n, p)
        for k in range(n + 1)
        if (ends := clopper_pearson(k, n, level=level))[0] <= p <= ends[1]
    )
    assert held >= level - 1e-9


@given(k=st.integers(0, 50), more=st.integers(0, 50))
def test_clopper_pearson_holds_the_estimate_and_is_symmetric(k, more):
    n = k + more
    if n == 0:
        with pytest.raises(ConfigError, match="total > 0"):
            clopper_pearson(0, 0)
        return
    low, high = clopper_pearson(k, n)
    assert low <= k / n <= high
    assert clopper_pearson(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_upper_limit_without_events_is_exact():
    assert upper_limit(0, 200) == pytest.approx(1 - 0.05 ** (1 / 200))
    with pytest.raises(ConfigError, match="passed"):
        upper_limit(5, 4)
    with pytest.raises(ConfigError, match="level"):
        clopper_pearson(1, 4, level=68)


def test_bootstrap_interval_of_a_mean_is_the_standard_error():
    values = np.random.default_rng(1).normal(size=4000)
    measured = bootstrap_measurement(
        lambda w: float(values @ w / w.sum()), np.ones(4000), definition="mean", resamples=400
    )
    assert (measured.high - measured.low) / 2 == pytest.approx(values.std() / np.sqrt(4000), rel=0.15)
    assert measured.interval == "bootstrap 68% (400)"


def test_bootstrap_covers_the_truth_in_two_thirds_of_experiments():
    rng, truth, held = np.random.default_rng(2), 0.8, 0
    for experiment in range(150):
        correct = (rng.random(300) < truth).astype(float)
        measured = bootstrap_measurement(
            lambda w, c=correct: float(c @ w / w.sum()),
            np.ones(300),
            definition="",
            resamples=100,
            seed=experiment,
        )
        held += measured.low <= truth <= measured.high
    assert 0.58 < held / 150 < 0.78  # 0.683 expected, standard error 0.038


def test_resamples_are_reproducible_and_differ():
    first, again = list(bootstrap_weights(50, resamples=20)), list(bootstrap_weights(50, resamples=20))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != first[1]).any()
    assert np.mean(first) == pytest.approx(1.0, abs=0.15)
    with pytest.raises(ConfigError, match="at least 20"):
        next(bootstrap_weights(50, resamples=3))


def test_undefined_resamples_widen_the_interval():
    values = np.concatenate([np.linspace(0, 1, 80), np.full(20, np.nan)])
    low, high = percentile_interval(values)
    assert low == -np.inf
    assert high == np.inf


def test_macro_auc_of_random_scores_is_one_half_within_its_error():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 10, 100_000)
    p = rng.dirichlet(np.ones(10), 100_000)
    measured = macro_auc(Predictions(labels, p, tuple("abcdefghij")))
    half = (measured.high - measured.low) / 2
    assert abs(measured.value - 0.5) < 4 * half
    assert half < 0.002


def _classifier(labels, error_rate, rng):
    wrong = rng.random(len(labels)) < error_rate
    called = np.where(wrong, 1 - labels, labels)
    return Predictions(labels, np.eye(2)[called], ("a", "b"))


def test_pairing_cancels_what_models_share():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 5000)
    base = _classifier(labels, 0.2, rng)
    p = base.probabilities.copy()
    mend = np.flatnonzero(p.argmax(1) != labels)[:40]
    p[mend] = p[mend][:, ::-1]
    better = Predictions(labels, p, base.classes)
    measured = paired_bootstrap([accuracy_statistic(better)], [accuracy_statistic(base)], np.ones(5000))
    assert measured.value == pytest.approx(40 / 5000)
    assert excludes(measured, 0.0)  # 0.8 %, although each accuracy alone is known to 0.6 % (68 %)
    assert measured.high - measured.low < 0.006


def test_equal_models_are_not_resolved():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 2000)
    a, b = (accuracy_statistic(_classifier(labels, 0.2, rng)) for _ in range(2))
    measured = paired_bootstrap([a], [b], np.ones(2000))
    assert measured.low < measured.value < measured.high
    assert paired_bootstrap([a], [a], np.ones(2000)).value == 0
    assert not excludes(paired_bootstrap([a], [a], np.ones(2000)), 0.0)


def test_an_open_end_still_excludes_on_the_other_side():
    labels = np.repeat([0, 1], 500)
    measured = paired_bootstrap(
        [lambda w: float("inf")], [lambda w: 10.0], np.ones(len(labels)), scale="ratio", resamples=20
    )
    assert (measured.value, measured.low, measured.high) == (None, None, None)
    assert not excludes(measured, 1.0)
