"""How far the scores of a classifier shift between simulations of the same events (RS3L, 2403.07066)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.predictions import FloatArray, IntArray

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


def shift_statistic(scores: Floats, ours: IntArray, theirs: IntArray) -> Statistic:
    """Return the 1-Wasserstein distance between the scores of two samples as a function of row weights.

    It is the area between their cumulative distributions, and undefined (NaN) where the weights of a sample
    do not sum to more than 0.

    Parameters
    ----------
    scores
        Score of each row, shape (n,).
    ours, theirs
        Row numbers of the samples.
    """
    rows = np.concatenate([ours, theirs])
    rows = rows[np.argsort(scores[rows], kind="stable")]
    ours_sorted, theirs_sorted = np.isin(rows, ours), np.isin(rows, theirs)
    steps = np.diff(scores[rows].astype(np.float64))

    def statistic(weights: FloatArray) -> float:
        first, second = (np.cumsum(weights[rows] * part) for part in (ours_sorted, theirs_sorted))
        if not len(rows) or first[-1] <= 0 or second[-1] <= 0:
            return float("nan")
        return float(np.abs(first / first[-1] - second / second[-1])[:-1] @ steps)

    return statistic


def score_shifts(
    scores: Floats,
    variation: Ints,
    names: Sequence[str],
    *,
    nominal: str = "nominal",
    weights: Floats | None = None,
) -> dict[str, float]:
    """Return the Wasserstein distance of the scores of each variation from those of the nominal simulation.

    It is the mean distance by which scores have to be moved, in the unit of the scores. Take the rows of one
    class: what is asked is whether a selection on the score would keep as many of them. Two samples of n rows
    of the same distribution are some 1 / sqrt(n) apart; the variation ``seed``, which differs by chance
    alone, shows it.

    Parameters
    ----------
    scores
        Score of each row, shape (n,).
    variation
        Number of its variation, as in a store's field ``jet_variation``.
    names
        Names of the variations, by number.
    nominal
        That which the others are compared with.
    weights
        Weight of each row; None for equal ones.

    Raises
    ------
    ValueError
        When there is no row of the nominal simulation.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([0.1, 0.5, 0.2, 0.6])
    >>> shifts = score_shifts(scores, np.array([0, 0, 1, 1]), ("nominal", "fsr_up"))
    >>> round(shifts["fsr_up"], 6)
    0.1
    """
    row_weights = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    reference = np.flatnonzero(variation == tuple(names).index(nominal))
    if not len(reference):
        raise ValueError(f"no row of the variation {nominal!r}; it is what the others are compared with")
    shifts = {}
    for number, name in enumerate(names):
        rows = np.flatnonzero(variation == number)
        if name != nominal and len(rows):
            shifts[name] = shift_statistic(scores, rows, reference)(row_weights)
    return shifts
