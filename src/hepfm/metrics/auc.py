"""Areas under the ROC curve: binary, and the macro average over all ordered pairs of classes.

An area is the probability that a random signal row scores above a random background row, ties counting
one half. With row weights w that is ``sum_ij w_i w_j [s_i > s_j] / (W_S W_B)``, one cumulative sum after the
scores have been ranked once, so that a bootstrap costs one pass over the rows a resample. The area is linear
in the weights of either class, so negative ones are allowed; it is undefined (NaN) where those of a class do
not sum to more than 0, as may happen in a resample.
"""

from __future__ import annotations

import numpy as np

from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions

BINARY_DEFINITION = "auc.binary.v1"
MACRO_OVO_DEFINITION = "auc.macro_ovo.v1"


class _Ranked:
    """Where the scores of other rows fall among the sorted scores of the rows of a class."""

    def __init__(self, score: FloatArray, members: IntArray, others: IntArray) -> None:
        self.members = members[np.argsort(score[members], kind="stable")]
        self.others = others
        sorted_scores = score[self.members]
        self.below = np.searchsorted(sorted_scores, score[others], side="left")
        self.not_above = np.searchsorted(sorted_scores, score[others], side="right")

    def wins(self, weights: FloatArray) -> tuple[FloatArray, float]:
        """Return each other row's weight times that of the members above it, and that of all members."""
        cumulative = np.concatenate([[0.0], np.cumsum(weights[self.members])])
        above = cumulative[-1] - 0.5 * (cumulative[self.below] + cumulative[self.not_above])
        return weights[self.others] * above, float(cumulative[-1])


def binary_auc_statistic(predictions: Predictions, *, signal: str, background: str) -> Statistic:
    """Return the area of the score p_S / (p_S + p_B) on signal and background rows, by row weights."""
    ranked = _Ranked(
        predictions.log_ratio(signal, background),
        predictions.rows_of(signal),
        predictions.rows_of(background),
    )

    def statistic(weights: FloatArray) -> float:
        wins, members = ranked.wins(weights)
        others = weights[ranked.others].sum()
        return float(wins.sum() / (members * others)) if members > 0 and others > 0 else float("nan")

    return statistic


def macro_auc_statistic(predictions: Predictions) -> Statistic:
    """Return the mean area over ordered pairs (a, b) of classes, each with the score p_a, by row weights."""
    num_classes = len(predictions.classes)
    by_class = [predictions.rows_of(name) for name in predictions.classes]
    sizes = np.array([len(rows) for rows in by_class])
    starts = [np.concatenate([[0], np.cumsum(np.delete(sizes, a))[:-1]]) for a in range(num_classes)]
    ranked = [
        _Ranked(
            predictions.probabilities[:, a],
            by_class[a],
            np.concatenate([rows for b, rows in enumerate(by_class) if b != a]),
        )
        for a in range(num_classes)
    ]

    def statistic(weights: FloatArray) -> float:
        totals = np.array([weights[rows].sum() for rows in by_class])
        if (totals <= 0).any():
            return float("nan")
        areas = 0.0
        for a, column in enumerate(ranked):
            wins, members = column.wins(weights)
            areas += float((np.add.reduceat(wins, starts[a]) / (members * np.delete(totals, a))).sum())
        return areas / (num_classes * (num_classes - 1))

    return statistic


def binary_auc(
    predictions: Predictions, *, signal: str, background: str, resamples: int = RESAMPLES, seed: int = 0
) -> Measurement:
    """Measure the area under the ROC curve of one signal against one background class.

    Only rows of the two classes enter; the score is p_S / (p_S + p_B), which is p_S for two classes.
    """
    statistic = binary_auc_statistic(predictions, signal=signal, background=background)
    return bootstrap_measurement(
        statistic,
        predictions.row_weights,
        definition=BINARY_DEFINITION,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )


def macro_auc(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0) -> Measurement:
    """Measure the macro one-versus-one area, JetClass's convention (2202.03772).

    The same as scikit-learn's ``roc_auc_score(average="macro", multi_class="ovo")``.
    """
    return bootstrap_measurement(
        macro_auc_statistic(predictions),
        predictions.row_weights,
        definition=MACRO_OVO_DEFINITION,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )
