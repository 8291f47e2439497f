"""Ratios of rows by estimators that did not see them: k folds, in which events stay whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.rng import integer_seed, uniform_of
from hepfm.data.row_source import Index
from hepfm.methods.ratio.base import Floats, RatioEstimator, TwoWeights, X


def cross_fit(
    estimator: RatioEstimator[X], x: X, weights: TwoWeights, events: Index, *, folds: int, seed: int
) -> tuple[Floats, list[Mapping[str, Any]]]:
    """Return ln of the ratio of each row, and what is told of each fold's training.

    Parameters
    ----------
    estimator
        Fitted once for each fold, to the rows outside of it.
    x, weights
        The R rows of both samples.
    events
        What each row belongs to, (R,): rows of one event are in one fold.
    folds
        Number of folds, at least 2.
    seed
        Of the folds and of the trainings.

    Raises
    ------
    DataError
        When there are fewer events than folds, or a sample has nothing outside of a fold.
    """
    fold = fold_of(events, folds, seed=seed)
    out = np.empty(len(events))
    facts = []
    for number in range(folds):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        try:
            left = weights.of(outside)
        except DataError as error:
            raise DataError(f"without fold {number + 1} of {folds}: {error}") from None
        ratio = estimator.fit(
            estimator.take(x, outside),
            left,
            seed=integer_seed(seed, "ratio.fold", number, bits=31),
        )
        out[inside] = ratio.log_ratio(estimator.take(x, inside))
        facts.append(ratio.facts)
    return out, facts


def fold_of(events: Index, folds: int, *, seed: int) -> Index:
    """Return the fold of each row, 0 to k - 1: the events are dealt out in random order, as many to each."""
    distinct, place = np.unique(events, return_inverse=True)
    if folds < 2 or len(distinct) < folds:
        raise DataError(
            f"{len(distinct)} events cannot be dealt into {folds} folds; take 2 or more, and no more than "
            "there are events"
        )
    rank = np.empty(len(distinct), np.int64)
    rank[np.argsort(uniform_of(distinct, seed, "ratio.folds"), kind="stable")] = np.arange(len(distinct))
    return rank[place] % folds
