"""Cross-fitting: each row's ratio is learned from other rows, so that no row is judged by what learned it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.rng import integer_seed, uniform_of
from hepfm.data.row_source import Index
from hepfm.methods.ratio.base import Floats, Ratio, RatioEstimator, TwoWeights, X


@dataclass(frozen=True)
class CrossFitted(Ratio[X], Generic[X]):
    """Ratios of k folds, each learned without the rows of its fold.

    Attributes
    ----------
    ratios
        One for each fold.
    fold_R
        Fold of each row.
    own_R
        ln of the ratio of each row, by the one that did not see it.
    """

    ratios: tuple[Ratio[X], ...]
    fold_R: Index
    own_R: Floats
    facts: Mapping[str, Any] = field(default_factory=dict)

    def log_ratio(self, x: X) -> Floats:
        """Return the mean over all folds, for rows that none of them has seen; see `Ratio.log_ratio`."""
        logs: Floats = np.mean([ratio.log_ratio(x) for ratio in self.ratios], axis=0)
        return logs


def cross_fit(
    estimator: RatioEstimator[X],
    x: X,
    weights: TwoWeights,
    *,
    events: Index,
    folds: int,
    seed: int,
) -> CrossFitted[X]:
    """Learn a ratio in k folds.

    Parameters
    ----------
    estimator
        What learns.
    x, weights
        The R rows of both samples.
    events
        What each row belongs to, (R,): rows of one event are in one fold.
    folds
        k.
    seed
        Of the folds and of all trainings.

    Raises
    ------
    DataError
        When there are fewer events than folds, or a sample has nothing left outside of a fold.
    """
    fold_R = fold_of(events, folds, seed=seed)
    ratios: list[Ratio[X]] = []
    own_R = np.empty(len(fold_R))
    for fold in range(folds):
        others, held_out = np.flatnonzero(fold_R != fold), np.flatnonzero(fold_R == fold)
        try:
            left = weights.of(others)
        except DataError as error:
            raise DataError(f"without fold {fold + 1} of {folds}: {error}") from None
        learned = estimator.fit(estimator.take(x, others), left, seed=integer_seed(seed, "ratio.fold", fold))
        own_R[held_out] = learned.log_ratio(estimator.take(x, held_out))
        ratios.append(learned)
    return CrossFitted(tuple(ratios), fold_R, own_R, {"folds": _facts(ratios)})


def fold_of(events: Index, folds: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each row, 0 to k - 1: events in random order are dealt out, so that all have equally
    many, to one."""
    distinct, place = np.unique(events, return_inverse=True)
    if folds < 2 or len(distinct) < folds:
        raise DataError(f"{len(distinct)} events cannot be dealt into {folds} folds; there are 2 at least")
    rank = np.empty(len(distinct), np.int64)
    rank[np.argsort(uniform_of(distinct, seed, "ratio.folds"), kind="stable")] = np.arange(len(distinct))
    return rank[place] % folds


def _facts(ratios: Sequence[Ratio[Any]]) -> list[dict[str, Any]]:
    return [dict(ratio.facts) for ratio in ratios]
