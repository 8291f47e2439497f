"""Means over trainings: their intervals, p-values, corrections and factorial effects."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from hepfm.core.errors import ConfigError
from hepfm.metrics.contrast import Contrast, read_contrast
from hepfm.metrics.factorial import effects, factors_of
from hepfm.metrics.holm import holm
from hepfm.metrics.mean_interval import mean_interval, one_sided, p_value, why_no_interval
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.paired import excludes, paired_trainings
from hepfm.metrics.trainings import mean_over_trainings

COVERAGE = Path(__file__).parents[2] / "docs" / "data" / "interval_coverage.csv"

samples = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=10).filter(lambda values: np.ptp(values) > 1e-3)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_lies_between_0_and_1(level):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        mean_interval(np.array([1.0, 2.0, 3.0]), level=level)


@given(values=samples, level=st.sampled_from([0.6827, 0.95]))
def test_the_interval_holds_the_mean_and_students_interval(values, level):
    values = np.array(values)
    low, high = mean_interval(values, level=level)
    half = student.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    slack = 1e-9 * np.abs(values).max()
    assert low <= values.mean() - half + slack
    assert values.mean() + half - slack <= high


@settings(deadline=None)
@given(values=samples, null=st.floats(-50, 50))
def test_the_p_value_and_the_interval_say_the_same(values, null):
    values = np.array(values)
    low, high = mean_interval(values)
    p = p_value(values, null=null)
    if min(abs(null - low), abs(null - high)) > 1e-6 * np.ptp(values):
        assert (p < 0.05) == (null < low or null > high)
    assert p >= ttest_1samp(values, null).pvalue - 1e-12
    assert sum(one_sided(values, null=null)) >= 1 - 1e-12


def test_values_symmetric_about_their_mean_have_students_interval():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    half = student.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    assert mean_interval(values) == pytest.approx((3 - half, 3 + half))


def test_a_failed_training_widens_the_interval_towards_it():
    values = np.array([0.95, 0.951, 0.949, 0.952, 0.80])
    low, high = mean_interval(values)
    assert values.mean() - low > 1.5 * (high - values.mean())


@pytest.mark.parametrize(
    ("draw", "truth", "bounds"),
    [
        (lambda rng, shape: rng.normal(size=shape), 0.0, {0.6827: (0.67, 0.75), 0.95: (0.94, 0.98)}),
        (
            lambda rng, shape: -np.exp(0.5 * rng.normal(size=shape)),
            -np.exp(0.125),
            {0.6827: (0.65, 0.73), 0.95: (0.92, 0.97)},
        ),
        (
            lambda rng, shape: -np.exp(rng.normal(size=shape)),
            -np.exp(0.5),
            {0.6827: (0.58, 0.68), 0.95: (0.86, 0.93)},
        ),
        (
            lambda rng, shape: rng.normal(size=shape) - 5 * (rng.random(shape) < 0.2),
            -1.0,
            {0.6827: (0.58, 0.78), 0.95: (0.87, 0.95)},
        ),
    ],
    ids=["normal", "skewed", "strongly skewed", "one in five fails"],
)
@pytest.mark.parametrize("count", [3, 5, 10])
def test_the_interval_covers_the_true_mean_as_often_as_said(draw, truth, bounds, count):
    values = draw(np.random.default_rng([4, count]), (1500, count))
    for level, (least, most) in bounds.items():
        ends = np.array([mean_interval(row, level=level) for row in values])
        assert least < ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() < most


def test_the_committed_table_shows_what_the_pages_say():
    with COVERAGE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    means = [row for row in rows if row["nominal"] == "0.95" and int(row["n"]) <= 10]
    worst = {
        name: min(float(row["coverage"]) for row in means if row["interval"] == name)
        for name in ("student t widened for skewness", "student t", "johnson t", "bca bootstrap")
    }
    assert worst["student t widened for skewness"] == max(worst.values())
    flips = [row for row in means if row["interval"] == "sign flip" and row["n"] == "5"]
    assert {row["coverage"] for row in flips} == {"1.0"}  # never excludes anything
    moved, fixed = (
        [float(row["coverage"]) for row in rows if row["interval"] == name]
        for name in ("bootstrap, moving threshold", "clopper-pearson, fixed threshold")
    )
    assert min(moved) > 0.64
    assert max(fixed) < 0.64


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.9], r"fewer than 3 trainings \(1\)"),
        ([0.9, 0.8], r"fewer than 3 trainings \(2\)"),
        ([0.9, 0.9, 0.9], "all values are equal"),
        ([0.9, np.nan, 0.8], "a value is undefined"),
    ],
)
def test_what_has_no_interval_says_why(values, reason):
    with pytest.raises(ConfigError, match=reason):
        mean_interval(np.array(values))
    assert why_no_interval(np.array([0.9, 0.8, 0.7])) == ""


def test_the_mean_stands_beside_its_own_interval():
    found = mean_over_trainings([0.95, 0.951, 0.949, 0.952, 0.80])
    assert found.value == pytest.approx(np.mean([0.95, 0.951, 0.949, 0.952, 0.80]))
    assert found.low < found.value < found.high
    assert found.std == pytest.approx(np.std([0.95, 0.951, 0.949, 0.952, 0.80], ddof=1))
    assert found.interval == "student t widened for skewness 68% over 5 trainings"


def test_ratios_have_geometric_means_and_undefined_ones_none():
    found = mean_over_trainings([100.0, 1000.0, 10_000.0], scale="ratio")
    assert found.value == pytest.approx(1000.0)
    assert found.low * found.high == pytest.approx(1000.0**2)
    undefined = mean_over_trainings([100.0, None, 300.0], scale="ratio")
    assert (undefined.value, undefined.low, undefined.std) == (None, None, None)
    two = mean_over_trainings([0.9, 0.92])
    assert (two.low, two.interval) == (None, "none: fewer than 3 trainings (2)")
    with pytest.raises(ConfigError, match="no trainings"):
        mean_over_trainings([])


def test_pairs_are_compared_replicate_by_replicate():
    found = paired_trainings([[0.92, 0.93, 0.95]], [[0.90, 0.90, 0.90]])
    low, high = mean_interval(np.array([0.02, 0.03, 0.05]))
    assert (found.measurement.value, found.measurement.low, found.measurement.high) == pytest.approx(
        (0.1 / 3, low, high)
    )
    assert found.p == pytest.approx(p_value(np.array([0.02, 0.03, 0.05])))
    ratio = paired_trainings([[200.0, 800.0, 400.0]], [[100.0, 100.0, 100.0]], scale="ratio")
    assert ratio.measurement.value == pytest.approx(4.0)
    with pytest.raises(ConfigError, match="as many values for each"):
        paired_trainings([[1.0]], [[1.0, 2.0]])


def test_two_pairs_and_equal_differences_resolve_nothing():
    two = paired_trainings([[0.95, 0.96]], [[0.90, 0.90]])
    assert (two.p, two.measurement.low, two.reason) == (None, None, "fewer than 3 pairs of trainings (2)")
    equal = paired_trainings([[0.95, 0.96, 0.97]], [[0.94, 0.95, 0.96]])
    assert (equal.p, equal.measurement.low, equal.reason) == (None, None, "all values are equal")
    assert not excludes(Measurement(0.1, 0.1, 0.1, 2, "", ""), 0.0)
    undefined = paired_trainings([[None, 300.0, 1.0]], [[100.0, 100.0, 1.0]], scale="ratio")
    assert (undefined.measurement.value, undefined.p) == (None, None)


def test_equivalence_asks_both_sides():
    near = paired_trainings([[0.901, 0.899, 0.9005, 0.8995, 0.900]], [[0.9] * 5])
    assert near.equivalence_p(0.01) < 0.001
    assert near.equivalence_p(1e-5) > 0.3
    for values in ([0.92, 0.921, 0.919], [0.88, 0.881, 0.879]):
        assert paired_trainings([values], [[0.9] * 3]).equivalence_p(0.01) > 0.9
    ratio = paired_trainings([[101.0, 99.0, 100.5]], [[100.0] * 3], scale="ratio")
    assert ratio.equivalence_p(1.2) < 0.01
    with pytest.raises(ConfigError, match=r"above 1, got 0\.9"):
        ratio.equivalence_p(0.9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_raises_p_values_and_keeps_their_order(p):
    adjusted = holm(p)
    assert all(after >= before - 1e-9 for before, after in zip(p, adjusted, strict=True))
    assert adjusted[int(np.argmin(p))] == pytest.approx(min(1.0, len(p) * min(p)), abs=1e-9)
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= -1e-9).all()


def test_holm_keeps_the_error_of_a_family():
    """Eight equal arms: a raw p below 0.05 somewhere in a third of the families, a corrected one in 5 %."""
    p = np.random.default_rng(6).uniform(size=(2000, 8))
    assert (p < 0.05).any(axis=1).mean() > 0.3
    assert np.mean([min(holm(list(row))) < 0.05 for row in p]) < 0.065


def test_a_comparison_without_p_value_still_counts():
    assert holm([0.02, None, None]) == (0.06, None, None)
    assert holm([]) == ()


# -- contrasts and factorial designs

ARMS = ("scratch", "C", "G", "M", "C+G", "C+M", "G+M", "C+G+M")


def test_effects_are_those_that_the_arms_were_made_of():
    """Arms made of known effects give them back, interaction included; every replicate has its own level."""
    held = factors_of(ARMS, ["C", "G", "M"], none="scratch")
    level = np.array([0.90, 0.91, 0.93])
    values = {
        arm: level + 0.04 * ("C" in has) + 0.01 * ("M" in has) - 0.02 * ({"C", "M"} <= set(has))
        for arm, has in held.items()
    }
    found = {one.name: one.measure(values).values for one in effects(held)}
    assert list(found) == ["C", "G", "M", "C×G", "C×M", "G×M", "C×G×M"]  # noqa: RUF001
    wanted = {"C": 0.03, "G": 0.0, "M": 0.0, "C×M": -0.01}  # noqa: RUF001
    for name, effect in found.items():
        np.testing.assert_allclose(effect, wanted.get(name, 0.0), atol=1e-12)


def test_effects_are_orthogonal_contrasts():
    held = factors_of(ARMS, ["C", "G", "M"], none="scratch")
    signs = np.array([[1 if arm in one.plus else -1 for arm in ARMS] for one in effects(held)])
    np.testing.assert_array_equal(signs @ signs.T, 8 * np.eye(7, dtype=int))
    assert (signs.sum(axis=1) == 0).all()


def test_a_design_with_a_hole_is_refused_by_name():
    held = factors_of([arm for arm in ARMS if arm not in ("G+M", "scratch")], ["C", "G", "M"], none="scratch")
    with pytest.raises(ConfigError, match=r"there is none with G\+M, none of them"):
        effects(held)
    with pytest.raises(ConfigError, match="same factors"):
        effects({"a": ["C"], "b": ["C"], "scratch": []})


@pytest.mark.parametrize("text", ["C", "C+M", "C - ", "C - C", "- C", "C M", "C * M", ""])
def test_a_contrast_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="is no contrast"):
        read_contrast(text)


def test_a_contrast_averages_its_sides():
    contrast = read_contrast("C  +  M - scratch")
    assert contrast == Contrast("C + M - scratch", ("C", "M"), ("scratch",))
    values = {"C": [0.9, 0.9, 0.9], "M": [0.7, 0.8, 0.9], "scratch": [0.5, 0.5, 0.5]}
    np.testing.assert_allclose(contrast.measure(values).values, [0.3, 0.35, 0.4])
