"""The contract of every registered estimator of a density ratio, on samples whose ratio is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ratio_toys import TOYS, Toy

from hepfm.core.errors import DataError, HepfmError
from hepfm.core.schema import Field, Level, Schema
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.ratio.base import Floats, RatioEstimator, TwoWeights
from hepfm.methods.ratio.trees import BINS, Binning

FEW = {"train": {"steps": 12, "validate_every": 6}}
"""Options of a training of which only what it does is looked at, not what it learned."""


@pytest.fixture(params=list(TOYS))
def toy(request: pytest.FixtureRequest) -> Toy:
    """Every estimator's toy."""
    return TOYS[request.param]


def rows_of(toy: Toy, estimator: RatioEstimator[Any], *, rows: int | None = None, seed: int = 1) -> Any:
    """Return what is read of the rows of both samples, numerator first."""
    rows = rows or toy.rows
    parts = [toy.sample(which, rows, seed=seed) for which in ("numerator", "denominator")]
    return estimator.join([estimator.read(part, np.arange(rows)) for part in parts])


def true_ratio(toy: Toy, *, rows: int, seed: int) -> Floats:
    parts = [toy.sample(which, rows, seed=seed) for which in ("numerator", "denominator")]
    return np.concatenate([toy.log_ratio(part) for part in parts])


def stacked(rows: int) -> TwoWeights:
    return TwoWeights.stacked(np.ones(rows), np.ones(rows))


def deviation(learned: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((learned - truth) ** 2)))


def small(toy: Toy, **options: Any) -> RatioEstimator[Any]:
    return toy.estimator({**(FEW if toy.kind == "jets" else {}), **options})


def test_every_estimator_has_a_toy() -> None:
    assert set(TOYS) == set(RATIO_ESTIMATORS)


def test_the_known_ratio_is_learned(toy: Toy) -> None:
    estimator = toy.estimator()
    ratio = estimator.fit(rows_of(toy, estimator), stacked(toy.rows), seed=3)
    unseen = ratio.log_ratio(rows_of(toy, estimator, rows=1000, seed=2))
    truth = true_ratio(toy, rows=1000, seed=2)
    assert deviation(unseen, truth) < toy.precision
    assert truth.std() > 2 * toy.precision  # else a ratio of 1 would do
    assert ratio.facts["validation_loss"] < np.log(2)


def test_samples_of_one_distribution_have_the_ratio_1(toy: Toy) -> None:
    estimator, rng = toy.estimator(), np.random.default_rng(5)
    x, places = rows_of(toy, estimator), rng.permutation(2 * toy.rows)
    ratio = estimator.fit(estimator.take(x, places), stacked(toy.rows), seed=3)
    assert deviation(ratio.log_ratio(x), np.zeros(2 * toy.rows)) < toy.precision


def test_rows_with_two_weights_are_as_good_as_rows_that_stand_twice(toy: Toy) -> None:
    estimator, rows = toy.estimator(), toy.rows
    x, truth = rows_of(toy, estimator), true_ratio(toy, rows=rows, seed=1)
    weights = TwoWeights(1 / (1 + np.exp(-truth)), 1 / (1 + np.exp(truth)))  # of one half each of all
    unseen, expected = rows_of(toy, estimator, rows=500, seed=2), true_ratio(toy, rows=500, seed=2)
    once = estimator.fit(x, weights, seed=3).log_ratio(unseen)
    twice = estimator.fit(
        estimator.join([x, x]), TwoWeights.stacked(weights.numerator, weights.denominator), seed=3
    ).log_ratio(unseen)
    assert deviation(once, expected) < toy.precision
    assert deviation(once, twice) < toy.precision


def test_only_proportions_of_weights_count(toy: Toy) -> None:
    estimator = small(toy)
    x, weights = rows_of(toy, estimator, rows=200), stacked(200)
    first = estimator.fit(x, weights, seed=1).log_ratio(x)
    scaled = TwoWeights(weights.numerator * 1024, weights.denominator / 4)
    np.testing.assert_array_equal(estimator.fit(x, scaled, seed=1).log_ratio(x), first)


def test_a_weight_counts_as_so_many_rows(toy: Toy) -> None:
    """Half of the numerator is drawn twice as often, and has half of the weight."""
    estimator, rows = toy.estimator(), toy.rows
    x = rows_of(toy, estimator)
    often = np.concatenate([np.repeat(np.arange(rows // 2), 2), np.arange(rows // 2, 2 * rows)])
    numerator = np.zeros(len(often))
    numerator[:rows] = 0.5
    numerator[rows : rows + rows // 2] = 1.0
    ratio = estimator.fit(
        estimator.take(x, often), TwoWeights(numerator, (numerator == 0).astype(float)), seed=3
    )
    unseen, truth = rows_of(toy, estimator, rows=500, seed=2), true_ratio(toy, rows=500, seed=2)
    assert deviation(ratio.log_ratio(unseen), truth) < 1.3 * toy.precision  # fewer different rows


def test_negative_weights_subtract_or_are_refused(toy: Toy, request: pytest.FixtureRequest) -> None:
    """A quarter of the denominator is added to the numerator, and as much of it taken away again."""
    estimator, rows = toy.estimator(), toy.rows
    x = rows_of(toy, estimator)
    added, removed = rows + np.arange(rows // 4), rows + np.arange(rows // 4, rows // 2)
    places = np.concatenate([np.arange(rows), added, removed, np.arange(rows, 2 * rows)])
    weights = TwoWeights.stacked(np.repeat([1.0, 1.0, -1.0], [rows, rows // 4, rows // 4]), np.ones(rows))
    if "trees" in request.node.name:
        with pytest.raises(DataError, match="no negative weights"):
            estimator.fit(estimator.take(x, places), weights, seed=3)
        return
    ratio = estimator.fit(estimator.take(x, places), weights, seed=3)
    unseen, truth = rows_of(toy, estimator, rows=500, seed=2), true_ratio(toy, rows=500, seed=2)
    assert deviation(ratio.log_ratio(unseen), truth) < 1.5 * toy.precision  # of fluctuations of both parts


def test_a_seed_determines_the_ratio(toy: Toy) -> None:
    estimator = small(toy)
    x, weights = rows_of(toy, estimator, rows=200), stacked(200)
    first, again, other = (estimator.fit(x, weights, seed=seed).log_ratio(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)


def test_a_warm_start_goes_on_from_the_former_ratio(toy: Toy) -> None:
    estimator = small(toy)
    x, weights = rows_of(toy, estimator, rows=200), stacked(200)
    first = estimator.fit(x, weights, seed=1)
    assert estimator.warm == (toy.still is not None)
    if toy.still is None:
        again = estimator.fit(x, weights, seed=1, start=first)
        np.testing.assert_array_equal(again.log_ratio(x), first.log_ratio(x))
        return
    still = small(toy, **toy.still)
    kept = still.fit(x, weights, seed=2, start=first).log_ratio(x)
    np.testing.assert_allclose(kept, first.log_ratio(x), atol=1e-5)
    anew = still.fit(x, weights, seed=2).log_ratio(x)
    assert deviation(anew, first.log_ratio(x)) > 1e-2


def test_bins_of_trees_keep_the_order_and_tell_apart_whole_numbers() -> None:
    rng = np.random.default_rng(1)
    x = np.stack([rng.normal(size=5000), rng.integers(0, 90, 5000)], axis=1).astype(np.float32)
    bins = Binning.of(x)(x)
    assert len(np.unique(bins[:, 0])) == BINS
    np.testing.assert_allclose(np.unique(bins[:, 0], return_counts=True)[1], 5000 / BINS, atol=1.5)
    order = np.argsort(x[:, 0])
    assert (np.diff(bins[order, 0]) >= 0).all()
    assert len(np.unique(bins[:, 1])) == len(np.unique(x[:, 1]))


def test_rows_keep_their_places(toy: Toy) -> None:
    estimator = small(toy)
    x = rows_of(toy, estimator, rows=100)
    ratio = estimator.fit(x, stacked(100), seed=1)
    places = np.random.default_rng(1).integers(0, 200, 150)
    expected = ratio.log_ratio(x)[places]
    np.testing.assert_allclose(ratio.log_ratio(estimator.take(x, places)), expected, atol=1e-5)
    parts = [estimator.take(x, places[:70]), estimator.take(x, places[70:])]
    np.testing.assert_allclose(ratio.log_ratio(estimator.join(parts)), expected, atol=1e-5)
    assert expected.std() > 1e-3


def test_a_perceptron_is_the_same_whatever_rows_are_evaluated_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toy = TOYS["perceptron"]
    estimator = small(toy)
    x, weights = rows_of(toy, estimator, rows=200), stacked(200)
    whole = estimator.fit(x, weights, seed=1)
    expected = whole.log_ratio(x)
    monkeypatch.setattr("hepfm.methods.ratio.perceptron._PIECE", 7)
    pieces = estimator.fit(x, weights, seed=1)
    np.testing.assert_allclose(pieces.facts["validation_losses"], whole.facts["validation_losses"], rtol=1e-5)
    np.testing.assert_allclose(pieces.log_ratio(x), expected, atol=1e-5)
    assert len(whole.facts["validation_losses"]) > 2


def test_rows_that_cannot_be_read_are_refused_before(toy: Toy) -> None:
    estimator = small(toy)
    estimator.check(toy.sample("numerator", 1, seed=1).schema)
    with pytest.raises(HepfmError, match=r"signal|part_pt"):
        estimator.check(Schema((Field("other", Level.OBJECT),)))


@pytest.mark.parametrize(
    ("numerator", "message"),
    [
        ([1.0, np.nan], "1 of 2 weights of the numerator are NaN"),
        ([np.inf, 1.0], "NaN or infinite"),
        ([0.0, 0.0], "add up to 0"),
        ([1.0, -1.0], "add up to 0"),
        ([1.0, -3.0], "add up to -2"),
    ],
)
def test_weights_without_a_ratio_are_refused(numerator: list[float], message: str) -> None:
    for weights in ((numerator, [1.0, 1.0]), ([1.0, 1.0], numerator)):
        with pytest.raises(DataError, match=message.replace("numerator", "(numerator|denominator)")):
            TwoWeights(*map(np.array, weights))
