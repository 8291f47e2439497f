"""Event weights in metrics, negative ones too: they estimate what rows of equal weight would give."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.metrics.accuracy import accuracy, accuracy_statistic
from hepfm.metrics.auc import binary_auc, binary_auc_statistic, macro_auc_statistic
from hepfm.metrics.confusion import confusion
from hepfm.metrics.per_class import efficiency_statistic, purity_statistic
from hepfm.metrics.predictions import Predictions
from hepfm.metrics.rejection import rejection, rejection_statistic
from hepfm.metrics.response import bias, relative_iqr, response_measurement
from hepfm.metrics.roc import roc_curve

CLASSES = ("background", "signal")


def make(label, logit, weights=None):
    p = 1 / (1 + np.exp(-logit))
    return Predictions(label, np.stack([1 - p, p], axis=1), CLASSES, weights)


def cancelling(seed=0, n=2000):
    """Rows, and the same with pairs of opposite weights added: both stand for the same distribution."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    logit = rng.normal(1.5 * label, 1)
    pairs = rng.normal(0, 2, 400)  # another distribution, once with +1 and once with -1
    labels = np.concatenate([label, *2 * [rng.integers(0, 2, 400)]])
    labels[-400:] = labels[-800:-400]
    signed = make(labels, np.concatenate([logit, pairs, pairs]), np.repeat([1.0, 1.0, -1.0], [n, 400, 400]))
    return make(label, logit), signed


STATISTICS = [
    accuracy_statistic,
    macro_auc_statistic,
    lambda p: binary_auc_statistic(p, signal="signal", background="background"),
    lambda p: efficiency_statistic(p, name="signal"),
    lambda p: purity_statistic(p, name="signal"),
]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_rows_of_opposite_weights_cancel(statistic):
    plain, signed = cancelling()
    expected = statistic(plain)(plain.row_weights)
    assert statistic(signed)(signed.row_weights) == pytest.approx(expected, abs=1e-12)
    assert statistic(signed)(np.abs(signed.row_weights)) != pytest.approx(expected, abs=1e-3)


def test_cancelling_rows_widen_the_intervals():
    plain, signed = cancelling()
    for measure in (accuracy, lambda p: binary_auc(p, signal="signal", background="background")):
        a, b = measure(plain), measure(signed)
        assert b.high - b.low > 1.1 * (a.high - a.low)


@pytest.mark.parametrize("statistic", STATISTICS[:-1])
def test_a_statistic_is_undefined_where_a_class_has_no_weight(statistic):
    plain, _ = cancelling(n=100)
    weights = np.where(plain.labels == 1, -1.0, -2.0)  # both negative: their product is not
    assert np.isnan(statistic(plain)(weights))


def test_the_confusion_matrix_counts_by_weight():
    plain, signed = cancelling()
    expected, found = confusion(plain), confusion(signed)
    np.testing.assert_allclose(found.fractions, expected.fractions, atol=1e-12)
    assert found.counts.sum() == 2800
    assert ((found.high - found.low) > 1.1 * (expected.high - expected.low)).all()
    equal = confusion(Predictions(plain.labels, plain.probabilities, CLASSES, np.full(2000, 0.2)))
    np.testing.assert_allclose([equal.low, equal.high], [expected.low, expected.high], atol=1e-9)


def test_a_curve_of_signed_weights_takes_the_first_threshold_that_reaches_the_target():
    rng = np.random.default_rng(4)
    label, score = rng.integers(0, 2, 300), np.round(rng.normal(0, 1, 300), 1)  # with ties
    weights = np.where(rng.random(300) < 0.35, -1.0, 1.0)
    grid = np.array([0.1, 0.3, 0.5, 0.8])
    curve = roc_curve(make(label, score, weights), grid, signal="signal", background="background")
    thresholds = np.unique(score)[::-1]
    signal, background = (
        np.array([weights[(label == k) & (score >= t)].sum() for t in thresholds]) / weights[label == k].sum()
        for k in (1, 0)
    )
    assert (np.diff(signal) < 0).any()  # not steadily rising
    expected = [background[np.argmax(signal >= target)] for target in grid]
    np.testing.assert_allclose(curve.background_efficiency, expected)


@pytest.mark.parametrize(("passing", "value"), [([1.0, -1.0], None), ([-2.0, 1.0], None), ([1.0] * 40, 0.75)])
def test_a_rejection_has_an_interval_where_a_share_lies_outside_its_range(passing, value):
    """The background weights sum to 30: of those that pass to 0, -1 and 40."""
    label = np.repeat([1, 0], [20, len(passing) + 100])
    score = np.repeat([3.0, -3.0, 4.0, -5.0], [10, 10, len(passing), 100])
    weights = np.concatenate([np.ones(20), passing, np.full(100, (30 - sum(passing)) / 100)])
    found = rejection(make(label, score, weights), signal="signal", background="background", efficiency=0.5)
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.low is not None
    assert found.low > 0
    assert (found.high is None) == (value is None)


def test_a_rejection_is_undefined_where_a_class_has_no_weight():
    plain, _ = cancelling(n=100)
    names = {"signal": "signal", "background": "background"}
    statistic = rejection_statistic(plain, efficiency=0.5, **names)
    for weights in (np.where(plain.labels == 1, -1.0, 1.0), np.where(plain.labels == 1, 1.0, 0.0)):
        assert np.isnan(statistic(weights))


def test_a_share_outside_its_range_has_an_interval():
    matrix = confusion(make(np.array([0, 0, 0, 1]), np.array([-1.0, -1, 1, 1]), np.array([2.0, 2, -1, 1])))
    np.testing.assert_allclose(matrix.fractions[0], [4 / 3, -1 / 3])
    assert (matrix.low[0, 1], matrix.high[0, 0]) == (0, 1)


@pytest.mark.parametrize("statistic", [bias, relative_iqr])
def test_quantiles_of_the_response_count_rows_by_weight(statistic):
    rng = np.random.default_rng(1)
    response = rng.lognormal(0.1, 0.3, 4001)
    times = rng.integers(1, 4, 4001)
    found = statistic(response, times.astype(float))
    assert found == pytest.approx(statistic(np.repeat(response, times)), rel=2e-3)
    tilted = np.where(response > 1.2, 5.0, 1.0)
    assert abs(statistic(response, tilted) - statistic(response)) > 0.05


def test_fewer_effective_rows_widen_the_interval_of_the_response():
    rng = np.random.default_rng(2)
    response, uneven = rng.lognormal(0.1, 0.3, 4001), rng.exponential(1.0, 4001)
    widths = []
    for weights in (None, uneven):  # half as many effective rows
        measured = response_measurement(response, relative_iqr, definition="test", weights=weights)
        widths.append(measured.high - measured.low)
    assert widths[1] > 1.2 * widths[0]


@pytest.mark.parametrize("weights", [[1.0, -0.5, 1.0], [0.0, 0.0, 0.0]])
def test_quantiles_of_signed_weights_are_refused(weights):
    with pytest.raises(DataError, match="quantiles of the response are not defined"):
        response_measurement(np.ones(3), bias, definition="test", weights=np.array(weights))
