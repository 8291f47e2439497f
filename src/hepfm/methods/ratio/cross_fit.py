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
        When there is a fold without events, or a sample has nothing outside of a fold.
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
    """Return the fold of each row, 0 to k - 1: a function of seed and event alone, whatever other events
    there are.

    Raises
    ------
    DataError
        When there is a fold without events.
    """
    fold: Index = (uniform_of(events, seed, "ratio.folds") * folds).astype(np.int64)
    if folds < 2 or len(np.unique(fold)) < folds:
        raise DataError(
            f"{len(np.unique(events))} events cannot be dealt into {folds} folds; take 2 or more, and far "
            "fewer than there are events"
        )
    return fold
