"""Background rejection 1/eps_B at a fixed signal efficiency eps_S, with its exact definition.

``rejection.threshold_first_above.v1``: on rows of the signal and the background class only, the score is
p_S / (p_S + p_B). The threshold is the largest score t at which the fraction of signal rows with score >= t
is at least eps_S: the first point of the ROC curve at or above the target, no interpolation. The rejection is
the inverse fraction of background rows with score >= t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import (
    RESAMPLES,
    Statistic,
    bootstrap_values,
    finite,
    percentile_interval,
)
from hepfm.metrics.intervals import clopper_pearson, upper_limit
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, Predictions

DEFINITION = "rejection.threshold_first_above.v1"

_ROUNDING = 1e-12
"""Relative slack of the target: 0.3 of 10 rows is 3 rows, whatever the floating-point product says."""


@dataclass(frozen=True)
class WorkingPoint:
    """What passes one threshold.

    Attributes
    ----------
    signal_efficiency, background_efficiency
        Weighted fractions that pass.
    passed
        Background rows that pass.
    total
        Background rows.
    effective_total
        ``(sum w)^2 / sum w^2`` of the background rows, or of groups of them; the number of either without
        weights and with groups of one size.
    """

    signal_efficiency: float
    background_efficiency: float
    passed: int
    total: int
    effective_total: float


class PairScores:
    """Scores of the rows of a signal and a background class, sorted once, highest first."""

    def __init__(self, predictions: Predictions, *, signal: str, background: str) -> None:
        score = -predictions.log_ratio(signal, background)
        rows_s, rows_b = predictions.rows_of(signal), predictions.rows_of(background)
        self.signal_rows = rows_s[np.argsort(score[rows_s], kind="stable")]
        self.background_rows = rows_b[np.argsort(score[rows_b], kind="stable")]
        self._background_group = (
            None
            if predictions.groups is None
            else np.unique(predictions.groups[self.background_rows], return_inverse=True)[1]
        )
        self._signal = score[self.signal_rows]
        self._background_passed = np.searchsorted(score[self.background_rows], self._signal, side="right")
        self._signal_passed = np.searchsorted(self._signal, self._signal, side="right")

    def working_point(self, efficiency: float, weights: FloatArray) -> WorkingPoint:
        """Return what passes the first threshold whose signal efficiency is at least `efficiency`."""
        signal = np.cumsum(weights[self.signal_rows])
        # Efficiencies do not rise steadily with negative weights: the first one from the top counts.
        reached = signal[self._signal_passed - 1] >= efficiency * signal[-1] * (1 - _ROUNDING)
        first = int(np.argmax(reached))
        background = weights[self.background_rows]
        passed = int(self._background_passed[first])
        total = float(background.sum())
        return WorkingPoint(
            signal_efficiency=float(signal[self._signal_passed[first] - 1] / signal[-1]),
            background_efficiency=float(background[:passed].sum() / total),
            passed=int(np.count_nonzero(background[:passed])),
            total=len(background),
            effective_total=total**2 / float((self._by_group(background) ** 2).sum()),
        )

    def _by_group(self, background: FloatArray) -> FloatArray:
        """Return the sums of weights of background rows that are independent: their own, or of groups."""
        group = self._background_group
        return background if group is None else np.bincount(group, background).astype(np.float64)


def rejection_statistic(
    predictions: Predictions, *, signal: str, background: str, efficiency: float
) -> Statistic:
    """Return the rejection as a function of row weights; infinite where no background passes."""
    scores = PairScores(predictions, signal=signal, background=background)

    def statistic(weights: FloatArray) -> float:
        if weights[scores.signal_rows].sum() <= 0 or weights[scores.background_rows].sum() <= 0:
            return float("nan")
        background_efficiency = scores.working_point(efficiency, weights).background_efficiency
        return 1 / background_efficiency if background_efficiency > 0 else float("inf")

    return statistic


def rejection(
    predictions: Predictions,
    *,
    signal: str,
    background: str,
    efficiency: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measurement:
    """Measure 1/eps_B at signal efficiency `efficiency`, with a bootstrap over signal and background rows.

    Each resample finds its own threshold, so the sampling error of the signal rows is in the interval. The
    counts are independent Poisson(1) for every row, as for the other metrics: what is shared by models
    cancels in their comparison, and since both efficiencies are fractions of their own class, that the number
    of rows of a class fluctuates as well changes nothing that a stratified draw would keep.

    A bootstrap of a few background rows that pass is too narrow. The interval therefore reaches at least as
    far as the Clopper-Pearson interval of eps_B at the threshold of the sample, which matters below about ten
    rows. Where no background row passes, the value and the upper end are None and the lower end is the
    one-sided 95 % limit (about a third of the number of background rows); so too where the weights of those
    that pass cancel, or are negative in sum. `n` is the number of background rows. Rows of one group are
    resampled together, and count as one for both limits.

    Raises
    ------
    DataError
        When a class has no rows, or no weight.
    """
    if not 0 < efficiency < 1:
        raise ConfigError(f"a signal efficiency lies between 0 and 1, got {efficiency}")
    point = PairScores(predictions, signal=signal, background=background).working_point(
        efficiency, predictions.row_weights
    )
    total = point.effective_total
    counts = f"{point.passed} of {point.total} background rows pass"
    if point.background_efficiency <= 0:
        low = 1 / upper_limit(0, total)
        interval = f"clopper-pearson 95% lower limit ({counts})"
        return Measurement(None, low, None, point.total, DEFINITION, interval)
    statistic = rejection_statistic(predictions, signal=signal, background=background, efficiency=efficiency)
    draws = bootstrap_values(
        [statistic], predictions.row_weights, resamples=resamples, seed=seed, groups=predictions.groups
    )[:, 0]
    low, high = percentile_interval(draws)
    fixed = clopper_pearson(min(point.background_efficiency, 1.0) * total, total)
    ends = min(low, 1 / fixed[1]), max(high, 1 / fixed[0])
    interval = f"bootstrap 68% ({resamples}), moving threshold ({counts})"
    return Measurement(
        1 / point.background_efficiency, finite(ends[0]), finite(ends[1]), point.total, DEFINITION, interval
    )
