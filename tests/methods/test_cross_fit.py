"""Cross-fitting: no row is judged by a ratio that has seen it, and events stay whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ratio_toys import TOYS

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource
from hepfm.methods.ratio.base import Floats, Ratio, RatioEstimator, TwoWeights
from hepfm.methods.ratio.cross_fit import cross_fit, fold_of

Numbers = npt.NDArray[np.int64]


class Memory(Ratio[Numbers]):
    """Knows the rows that it was learned from."""

    def __init__(self, seen: Numbers) -> None:
        self.seen, self.facts = seen, {"rows": len(seen)}

    def log_ratio(self, x: Numbers) -> Floats:
        """Return 1 for rows that were seen, 0 for others."""
        return np.isin(x, self.seen).astype(float)


class Memorise(RatioEstimator[Numbers]):
    """Learns which rows there are."""

    def check(self, schema: Schema) -> None: ...

    def read(self, source: RowSource, rows: Index) -> Numbers:
        return rows

    def join(self, parts: Sequence[Numbers]) -> Numbers:
        return np.concatenate(parts)

    def take(self, x: Numbers, places: Numbers) -> Numbers:
        return x[places]

    def fit(
        self, x: Numbers, weights: TwoWeights, *, seed: int, start: Ratio[Numbers] | None = None
    ) -> Memory:
        return Memory(x)


def test_no_row_is_judged_by_what_has_seen_it_or_its_event() -> None:
    x, events = np.arange(60), np.arange(60) // 3
    weights = TwoWeights(np.ones(60), np.ones(60))
    memorise = Memorise(Config())
    logs, facts = cross_fit(memorise, x, weights, events, folds=5, seed=1)
    assert not logs.any()
    fold = fold_of(events, 5, seed=1)
    assert [one["rows"] for one in facts] == (60 - np.bincount(fold)).tolist()
    assert memorise.fit(x, weights, seed=1).log_ratio(x).all()  # one ratio of all has seen each
    assert len(set(zip(events, fold, strict=True))) == 20


def test_folds_are_a_function_of_seed_and_event() -> None:
    events = np.random.default_rng(1).permutation(np.repeat(np.arange(30), 2))
    first = fold_of(events, 3, seed=1)
    np.testing.assert_array_equal(fold_of(events[20:], 3, seed=1), first[20:])
    assert np.bincount(first).min() > 8
    assert not np.array_equal(fold_of(events, 3, seed=2), first)


@pytest.mark.parametrize("name", list(TOYS))
def test_every_estimator_learns_in_folds(name: str) -> None:
    toy = TOYS[name]
    estimator, rows = toy.estimator(), toy.rows
    parts = [toy.sample(which, rows, seed=1) for which in ("numerator", "denominator")]
    x = estimator.join([estimator.read(part, np.arange(rows)) for part in parts])
    weights: Any = TwoWeights.stacked(np.ones(rows), np.ones(rows))
    logs, _ = cross_fit(estimator, x, weights, np.arange(2 * rows), folds=2, seed=3)
    truth = np.concatenate([toy.log_ratio(part) for part in parts])
    assert np.corrcoef(logs, truth)[0, 1] > 0.9


@pytest.mark.parametrize(("folds", "events"), [(1, 10), (4, 3)])
def test_too_few_folds_or_events_are_refused(folds: int, events: int) -> None:
    with pytest.raises(DataError, match=f"{events} events cannot be dealt into {folds} folds"):
        fold_of(np.arange(events), folds, seed=1)


def test_a_sample_that_is_in_one_fold_alone_is_refused() -> None:
    weights = TwoWeights(np.eye(1, 20)[0], np.ones(20))
    with pytest.raises(DataError, match=r"without fold \d of 2: the weights of the numerator add up to 0"):
        cross_fit(Memorise(Config()), np.arange(20), weights, np.arange(20), folds=2, seed=1)
