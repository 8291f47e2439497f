"""Accuracy, areas and rejections against scikit-learn, analytic Gaussians and exact small cases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import accuracy_score, roc_auc_score

from hepfm.core.errors import ConfigError, DataError
from hepfm.metrics.accuracy import accuracy
from hepfm.metrics.auc import binary_auc, binary_auc_statistic, macro_auc, macro_auc_statistic
from hepfm.metrics.confusion import confusion
from hepfm.metrics.per_class import efficiency as class_efficiency
from hepfm.metrics.predictions import Predictions
from hepfm.metrics.rejection import rejection, rejection_statistic
from hepfm.metrics.roc import roc_curve
from hepfm.metrics.significance import significance_improvement

CLASSES = ("background", "signal")


def gaussian(d, n_signal, n_background, rng):
    """Scores N(d, 1) and N(0, 1) as log-ratios, written as two class probabilities."""
    logit = np.concatenate([rng.normal(0, 1, n_background), rng.normal(d, 1, n_signal)])
    p = 1 / (1 + np.exp(-logit))
    labels = np.repeat([0, 1], [n_background, n_signal])
    return Predictions(labels, np.stack([1 - p, p], axis=1), CLASSES)


def multiclass(n, num_classes, rng, weights=None, digits=None):
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, n - num_classes)])
    logits = rng.normal(size=(n, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if digits is not None:
        p = np.round(p, digits)
    return Predictions(labels, p, tuple(f"c{k}" for k in range(num_classes)), weights)


def test_accuracy_equals_scikit_learn():
    predictions = multiclass(500, 4, np.random.default_rng(1))
    expected = accuracy_score(predictions.labels, predictions.probabilities.argmax(1))
    measured = accuracy(predictions)
    assert measured.value == pytest.approx(expected, abs=1e-12)
    assert measured.low < expected < measured.high
    binomial = np.sqrt(expected * (1 - expected) / 500)
    assert (measured.high - measured.low) / 2 == pytest.approx(binomial, rel=0.25)


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_auc_equals_scikit_learn(weighted):
    rng = np.random.default_rng(2)
    predictions = gaussian(1.0, 300, 500, rng)
    weights = rng.uniform(0.1, 3, 800) if weighted else np.ones(800)
    value = binary_auc_statistic(predictions, signal="signal", background="background")(weights)
    expected = roc_auc_score(predictions.labels, predictions.probabilities[:, 1], sample_weight=weights)
    assert value == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), num_classes=st.integers(3, 6), digits=st.sampled_from([1, 2, None]))
def test_macro_auc_equals_scikit_learn_also_with_ties(seed, num_classes, digits):
    rng = np.random.default_rng(seed)
    predictions = multiclass(120, num_classes, rng)
    p = predictions.probabilities
    if digits is not None:  # ties; scikit-learn wants rows that sum to one, the last class takes the rest
        p = np.round(p, digits)
        p[:, -1] = np.clip(1 - p[:, :-1].sum(axis=1), 0, 1)
        p /= p.sum(axis=1, keepdims=True)
    expected = roc_auc_score(predictions.labels, p, average="macro", multi_class="ovo")
    value = macro_auc_statistic(Predictions(predictions.labels, p, predictions.classes))(np.ones(120))
    assert value == pytest.approx(expected, abs=1e-12)


def test_weights_that_are_counts_equal_repeated_rows():
    rng = np.random.default_rng(3)
    predictions = multiclass(200, 3, rng)
    counts = rng.integers(0, 4, 200)
    repeated = np.repeat(np.arange(200), counts)
    again = Predictions(
        predictions.labels[repeated], predictions.probabilities[repeated], predictions.classes
    )
    by_weight, by_copy = macro_auc_statistic(predictions), macro_auc_statistic(again)
    assert by_weight(counts.astype(float)) == pytest.approx(by_copy(np.ones(len(repeated))), abs=1e-12)


def test_auc_of_gaussians_is_the_analytic_one():
    d = 1.3
    measured = binary_auc(
        gaussian(d, 20_000, 20_000, np.random.default_rng(4)), signal="signal", background="background"
    )
    truth = norm.cdf(d / np.sqrt(2))
    half = (measured.high - measured.low) / 2
    assert abs(measured.value - truth) < 4 * half
    assert half < 0.003


@pytest.mark.parametrize("efficiency", [0.3, 0.5, 0.8])
def test_rejection_of_gaussians_is_the_analytic_one(efficiency):
    """eps_B = Phi(Phi^-1(eps_S) - d)."""
    d = 1.5
    predictions = gaussian(d, 50_000, 50_000, np.random.default_rng(5))
    measured = rejection(predictions, signal="signal", background="background", efficiency=efficiency)
    truth = 1 / norm.cdf(norm.ppf(efficiency) - d)
    assert abs(measured.value - truth) < 4 * (measured.high - measured.low) / 2
    assert measured.n == 50_000


def test_rejection_takes_the_first_threshold_at_or_above_the_target():
    logit = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 4.5, 2.5, 2.0, 0.0, -1.0])
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    p = 1 / (1 + np.exp(-logit))
    predictions = Predictions(labels, np.stack([1 - p, p], 1), CLASSES)

    def at(efficiency):
        return rejection(predictions, signal="signal", background="background", efficiency=efficiency).value

    assert at(0.2) is None  # score 5: no background
    assert at(0.21) == pytest.approx(5)  # next threshold 4: one of five backgrounds
    assert at(0.6) == pytest.approx(5)  # exactly three of five signals: threshold 3
    assert at(0.8) == pytest.approx(5 / 3)  # threshold 2, and the background tied with it passes


@given(n=st.integers(1, 400), k=st.integers(1, 400))
def test_a_target_that_is_a_whole_number_of_rows_is_not_rounded_up(n, k):
    k = min(k, n)
    if k == n:
        return
    p = np.linspace(0.9, 0.6, n)
    p = np.concatenate([p, [0.1]])
    predictions = Predictions(np.array([1] * n + [0]), np.stack([1 - p, p], 1), CLASSES)
    curve = roc_curve(predictions, np.array([k / n]), signal="signal", background="background")
    assert curve.passed[0] == 0
    from hepfm.metrics.rejection import PairScores

    point = PairScores(predictions, signal="signal", background="background").working_point(
        k / n, np.ones(n + 1)
    )
    assert point.signal_efficiency == pytest.approx(k / n)


def test_no_surviving_background_gives_a_limit_and_no_value():
    p = np.concatenate([np.full(100, 0.9), np.full(1000, 0.1)])
    predictions = Predictions(np.repeat([1, 0], [100, 1000]), np.stack([1 - p, p], 1), CLASSES)
    measured = rejection(predictions, signal="signal", background="background", efficiency=0.5)
    assert (measured.value, measured.high) == (None, None)
    assert measured.low == pytest.approx(1000 / 3.0, rel=0.01)
    assert "95% lower limit" in measured.interval


def test_jetclass_rejection_uses_signal_and_qcd_rows_only():
    rng = np.random.default_rng(6)
    predictions = multiclass(3000, 4, rng)
    p = predictions.probabilities
    rows = np.isin(predictions.labels, [0, 2])
    score = p[:, 2] / (p[:, 2] + p[:, 0])
    signal = np.sort(score[predictions.labels == 2])[::-1]
    threshold = signal[int(np.ceil(0.5 * len(signal))) - 1]
    background = score[predictions.labels == 0]
    measured = rejection(predictions, signal="c2", background="c0", efficiency=0.5)
    assert measured.value == pytest.approx(1 / np.mean(background >= threshold), rel=1e-12)
    assert measured.n == np.sum(predictions.labels[rows] == 0)


def test_scores_that_saturate_in_float32_are_not_tied():
    p_background = np.array([1e-9, 1e-12, 1e-3, 0.9])
    p = np.stack([p_background, (1 - p_background).astype(np.float32)], axis=1)
    predictions = Predictions(np.array([0, 1, 1, 0]), p, CLASSES)
    value = binary_auc_statistic(predictions, signal="signal", background="background")(np.ones(4))
    assert value == pytest.approx(3 / 4)


def test_equal_weights_change_nothing_and_unequal_ones_widen_the_interval():
    rng = np.random.default_rng(7)
    plain = gaussian(1.5, 2000, 2000, rng)
    doubled = Predictions(plain.labels, plain.probabilities, CLASSES, np.full(4000, 2.0))
    uneven = Predictions(plain.labels, plain.probabilities, CLASSES, rng.exponential(1.0, 4000))
    names = {"signal": "signal", "background": "background", "efficiency": 0.5}
    a, b, c = (rejection(predictions, **names) for predictions in (plain, doubled, uneven))
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
    assert np.log(c.high / c.low) > 1.2 * np.log(a.high / a.low)


def test_the_interval_of_a_rejection_moves_the_threshold():
    """At a fixed threshold the number of signal rows cannot matter."""
    rng = np.random.default_rng(10)
    few, many = (gaussian(1.5, number, 4000, rng) for number in (200, 20_000))
    names = {"signal": "signal", "background": "background", "efficiency": 0.3}
    wide, narrow = (rejection(predictions, **names) for predictions in (few, many))
    assert np.log(wide.high / wide.low) > 1.4 * np.log(narrow.high / narrow.low)
    assert "moving threshold" in wide.interval


def test_the_interval_of_a_rejection_covers_a_known_roc_curve():
    """2,000 rows of each class; at a fixed threshold 0.60 of 0.683 are covered."""
    truth, held = 1 / norm.cdf(norm.ppf(0.5) - 1.5), 0
    for experiment in range(80):
        predictions = gaussian(1.5, 2000, 2000, np.random.default_rng([20, experiment]))
        one = rejection(
            predictions,
            signal="signal",
            background="background",
            efficiency=0.5,
            resamples=50,
            seed=experiment,
        )
        held += one.low <= truth <= one.high
    assert 0.58 < held / 80 < 0.82  # 0.683 expected, standard error 0.052


@pytest.mark.parametrize("shift", [1.5, 30.0], ids=["some background passes", "none passes"])
def test_rows_of_one_group_count_once_for_a_rejection(shift):
    """At few rows that pass, and none, the limits of counts hold for groups too."""
    alone = gaussian(shift, 50, 60, np.random.default_rng(12))
    copied = replace(alone.take(np.repeat(np.arange(110), 5)), groups=np.repeat(np.arange(110), 5))
    names = {"signal": "signal", "background": "background", "efficiency": 0.3}
    one, many = rejection(alone, **names), rejection(copied, **names)
    assert (one.low, one.high) == pytest.approx((many.low, many.high), nan_ok=True)
    assert many.n == 5 * one.n


def test_a_class_without_weight_is_named_and_never_divides_by_zero():
    labels = np.array([0, 0, 1, 1])
    p = np.array([0.2, 0.4, 0.6, 0.8])
    weights = np.array([0.0, 0.0, 1.0, 2.0])
    predictions = Predictions(labels, np.stack([1 - p, p], 1), CLASSES, weights)
    names = {"signal": "signal", "background": "background"}
    measures = (
        lambda: rejection(predictions, **names, efficiency=0.5),
        lambda: roc_curve(predictions, np.array([0.5]), **names),
        lambda: binary_auc(predictions, **names),
        lambda: macro_auc(predictions),
        lambda: confusion(predictions),
    )
    for measure in measures:
        with pytest.raises(DataError, match="all 2 rows of class 'background' have weight 0"):
            measure()
    assert accuracy(predictions).value == 1.0
    assert class_efficiency(predictions, name="signal").value == 1.0
    assert class_efficiency(predictions, name="background").value is None


def test_the_roc_curve_goes_through_the_quoted_rejections():
    predictions = gaussian(2.0, 3000, 3000, np.random.default_rng(8))
    curve = roc_curve(predictions, np.array([0.3, 0.5]), signal="signal", background="background")
    for efficiency, background in zip(curve.signal_efficiency, curve.background_efficiency, strict=True):
        quoted = rejection(
            predictions, signal="signal", background="background", efficiency=float(efficiency)
        )
        assert 1 / background == pytest.approx(quoted.value)


def test_rejection_statistic_is_infinite_without_survivors_and_undefined_without_rows():
    p = np.array([0.9, 0.8, 0.2, 0.1])
    predictions = Predictions(np.array([1, 1, 0, 0]), np.stack([1 - p, p], 1), CLASSES)
    statistic = rejection_statistic(predictions, signal="signal", background="background", efficiency=0.5)
    assert statistic(np.ones(4)) == np.inf
    assert np.isnan(statistic(np.array([0.0, 0.0, 1.0, 1.0])))


def test_confusion_rows_are_shares_of_the_true_class():
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    matrix = confusion(Predictions(np.array([0, 0, 1, 2]), p, ("a", "b", "c")))
    assert matrix.counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert matrix.fractions.sum(axis=1) == pytest.approx([1, 1, 1])
    assert (matrix.low <= matrix.fractions).all()
    assert (matrix.fractions <= matrix.high).all()


@pytest.mark.parametrize(
    ("labels", "p", "weights", "message"),
    [
        ([], np.zeros((0, 2)), None, "test split is empty"),
        ([0, 1], np.ones((2, 3)), None, "expected \\(2, 2\\)"),
        ([0, 1], np.array([[0.5, np.nan], [0.5, 0.5]]), None, "NaN or infinite, the first is row 0"),
        ([0, 1], np.array([[0.5, -0.5], [0.5, 0.5]]), None, "not logits"),
        ([0, 2], np.full((2, 2), 0.5), None, "labels reach from 0 to 2"),
        ([0, 1], np.full((2, 2), 0.5), np.ones(3), "weights have shape"),
        ([0, 1], np.full((2, 2), 0.5), np.array([1.0, np.nan]), "weights of 1 rows are NaN"),
        ([0, 1], np.full((2, 2), 0.5), np.array([1.0, -1.0]), "class 'signal' sum to -1 over 1 rows"),
        ([1, 0, 1], np.full((3, 2), 0.5), np.array([1.0, 1, -1]), "class 'signal' sum to 0 over 2 rows"),
        ([0, 1], np.full((2, 2), 0.5), np.zeros(2), "all 2 weights are zero"),
    ],
)
def test_bad_predictions_are_refused(labels, p, weights, message):
    with pytest.raises(DataError, match=message):
        Predictions(np.array(labels, np.int64), p, CLASSES, weights)


def test_an_absent_class_and_an_impossible_efficiency_are_refused():
    predictions = Predictions(np.array([0, 0]), np.full((2, 2), 0.5), CLASSES)
    with pytest.raises(DataError, match="did you mean 'signal'"):
        rejection(predictions, signal="sinal", background="background", efficiency=0.5)
    with pytest.raises(DataError, match="no row of class 'signal'"):
        macro_auc(predictions)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        rejection(predictions, signal="signal", background="background", efficiency=50)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        roc_curve(predictions, np.array([0.0, 0.5]), signal="signal", background="background")


# -- significance improvement


def test_significance_improvement_is_that_of_a_direct_count() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 500)
    score = np.round(0.25 + 0.5 * rng.uniform(size=500) + 0.15 * labels, 2)  # with ties
    weights = rng.uniform(0.5, 1.5, 500)
    predictions = Predictions(labels, np.stack([1 - score, score], axis=1), ("B", "S"), weights)
    found = significance_improvement(predictions, signal="S", background="B", efficiency=0.1)
    background, signal = labels == 0, labels == 1
    best = 0.0
    for threshold in np.unique(score):
        passed = score > threshold
        if weights[passed & background].sum() <= 0.1 * weights[background].sum():
            best = max(best, weights[passed & signal].sum() / weights[signal].sum())
    assert found.value == pytest.approx(best / np.sqrt(0.1))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("scores", "expected"), [("perfect", 10.0), ("constant", 0.0), ("inverse", 0.0)])
def test_significance_improvement_of_scores_that_are_known(scores: str, expected: float) -> None:
    labels = np.repeat([0, 1], 200)
    score = {"perfect": labels * 0.8 + 0.1, "constant": np.full(400, 0.5), "inverse": 0.9 - labels * 0.8}[
        scores
    ]
    predictions = Predictions(labels, np.stack([1 - score, score], axis=1), ("B", "S"))
    found = significance_improvement(predictions, signal="S", background="B", efficiency=0.01)
    assert found.value == pytest.approx(expected)


def test_a_background_efficiency_lies_between_0_and_1() -> None:
    predictions = Predictions(np.array([0, 1]), np.eye(2), ("B", "S"))
    with pytest.raises(ConfigError, match="got 1"):
        significance_improvement(predictions, signal="S", background="B", efficiency=1.0)
