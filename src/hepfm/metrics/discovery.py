"""What a search for a signal can expect of a score: expected significance, and the largest improvement of it.

``expected_significance.v1``: row weights are expected numbers of events. Rows are counted in bins of the
score whose edges lie at the background efficiencies `EDGES`, of the rows themselves: no monotonic function of
the score changes them. A bin with fewer than `least_background` background rows is joined with the next one
of lower scores. With s and b expected events in each bin, n = s + b, and one relative uncertainty u of the
whole background, whose factor is measured as 1 by a Poisson count of 1/u^2, the median significance of a
discovery is the root of

    q = 2 sum [n ln(n / (f b)) - n + f b] + 2 (f - 1 - ln f) / u^2,    f = (sum n + 1/u^2) / (sum b + 1/u^2),

the profile likelihood ratio of the expected data (1007.1727); f is the best factor without signal. In one bin
it is Cowan's formula (G. Cowan, "Discovery sensitivity for a counting experiment with background
uncertainty", 2012). The uncertainty is one of the normalisation: if bins had uncertainties of their own, a
score that says nothing would gain.

``largest_improvement.v1``: the largest eps_S / sqrt(eps_B) over all thresholds that at least
`least_background` background rows pass; 1 without any cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import DataError
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions

SIGNIFICANCE = "expected_significance.v1"
IMPROVEMENT = "largest_improvement.v1"

EDGES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""Background efficiencies at the lower edges of the bins; the bin of the lowest scores has none."""


@dataclass(frozen=True)
class _Ranked:
    """Rows of both classes in falling order of the score, and the thresholds between background rows.

    Attributes
    ----------
    signal, background
        Row numbers, the best first.
    signal_passing, background_passing
        Rows that pass each threshold, rising; rows of equal scores pass together.
    independent_passing
        Independent background rows that do: those of one group together count as one.
    independent
        All of them.
    """

    signal: IntArray
    background: IntArray
    signal_passing: IntArray
    background_passing: IntArray
    independent_passing: FloatArray
    independent: float


def _ranked(predictions: Predictions, signal: str, background: str) -> _Ranked:
    score = -predictions.log_ratio(signal, background)
    rows_s, rows_b = predictions.rows_of(signal), predictions.rows_of(background)
    rows_s = rows_s[np.argsort(score[rows_s], kind="stable")]
    rows_b = rows_b[np.argsort(score[rows_b], kind="stable")]
    thresholds = np.unique(score[rows_b])
    passing = (np.searchsorted(score[rows], thresholds, side="right") for rows in (rows_s, rows_b))
    passing_s, passing_b = passing
    counted = np.cumsum(_independent(predictions, rows_b))
    return _Ranked(rows_s, rows_b, passing_s, passing_b, counted[passing_b - 1], float(counted[-1]))


def _independent(predictions: Predictions, rows: IntArray) -> FloatArray:
    """Return for each of some rows one over the number of those that are in its group."""
    if predictions.groups is None:
        return np.ones(len(rows))
    _, group, sizes = np.unique(predictions.groups[rows], return_inverse=True, return_counts=True)
    shares: FloatArray = 1.0 / sizes[group]
    return shares


def _check(ranked: _Ranked, least_background: int) -> None:
    if ranked.independent < least_background:
        raise DataError(
            f"{ranked.independent:g} background rows are fewer than least_background = {least_background}; "
            "take more test rows"
        )


def asimov_significance(s: FloatArray, b: FloatArray, *, uncertainty: float) -> float:
    """Return the expected significance of a discovery in some bins.

    Parameters
    ----------
    s, b
        Expected events of signal and background in each bin, shape (bins,); b above 0.
    uncertainty
        Relative uncertainty of the background, one factor for all bins.

    Examples
    --------
    A signal that is small against its background has s / sqrt(b), and no more than s / (u b):

    >>> one, much = np.array([1.0]), np.array([1e4])
    >>> round(asimov_significance(one, much, uncertainty=0), 4)
    0.01
    >>> round(asimov_significance(100 * one, 1e4 * much, uncertainty=0.1), 6)
    1e-05
    """
    n = s + b
    if uncertainty == 0:
        factor, constraint = 1.0, 0.0
    else:
        count = 1 / uncertainty**2
        # 1 + x, of which ln is precise for tiny signals too.
        excess = float(s.sum()) / (float(b.sum()) + count)
        factor, constraint = 1 + excess, count * (excess - np.log1p(excess))
    terms = n * np.log(n / (factor * b)) - n + factor * b
    return float(np.sqrt(max(2 * (terms.sum() + constraint), 0.0)))


def expected_significance_statistic(
    predictions: Predictions, *, signal: str, background: str, uncertainty: float, least_background: int
) -> Statistic:
    """Return the expected significance as a function of row weights; the bins are those of the rows."""
    ranked = _ranked(predictions, signal, background)
    _check(ranked, least_background)
    cuts = _bins(ranked, predictions.row_weights[ranked.background], least_background)
    stops_b = [*ranked.background_passing[cuts], len(ranked.background)]
    stops_s = [*ranked.signal_passing[cuts], len(ranked.signal)]

    def statistic(weights: FloatArray) -> float:
        s = _sums(weights[ranked.signal], stops_s)
        b = _sums(weights[ranked.background], stops_b)
        if (b <= 0).any() or (s < 0).any():
            return float("nan")
        return asimov_significance(s, b, uncertainty=uncertainty)

    return statistic


def _bins(ranked: _Ranked, weights: FloatArray, least: int) -> list[int]:
    """Return the numbers of the thresholds that are edges of bins, the highest score first."""
    passed, counted = np.cumsum(weights)[ranked.background_passing - 1], ranked.independent_passing
    cuts: list[int] = []
    above = 0.0
    for efficiency in sorted(EDGES):
        cut = int(np.searchsorted(passed, efficiency * weights.sum()))
        if cut < len(counted) and min(counted[cut] - above, ranked.independent - counted[cut]) >= least:
            cuts.append(cut)
            above = counted[cut]
    return cuts


def _sums(weights: FloatArray, stops: list[np.int64 | int]) -> FloatArray:
    total = np.concatenate([[0.0], np.cumsum(weights)])
    return np.diff(total[np.array([0, *stops])])


def expected_significance(
    predictions: Predictions,
    *,
    signal: str,
    background: str,
    uncertainty: float,
    least_background: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measurement:
    """Measure the expected significance, with a bootstrap over the rows in fixed bins.

    Raises
    ------
    DataError
        When a class has no rows, or the background fewer than `least_background`.
    """
    statistic = expected_significance_statistic(
        predictions,
        signal=signal,
        background=background,
        uncertainty=uncertainty,
        least_background=least_background,
    )
    return _measured(statistic, predictions, SIGNIFICANCE, resamples, seed)


def largest_improvement_statistic(
    predictions: Predictions, *, signal: str, background: str, least_background: int
) -> Statistic:
    """Return the largest improvement as a function of row weights."""
    ranked = _ranked(predictions, signal, background)
    _check(ranked, least_background)
    enough = ranked.independent_passing >= least_background
    counts_s, counts_b = ranked.signal_passing[enough], ranked.background_passing[enough]

    def statistic(weights: FloatArray) -> float:
        passed_s = np.concatenate([[0.0], np.cumsum(weights[ranked.signal])])
        passed_b = np.concatenate([[0.0], np.cumsum(weights[ranked.background])])
        if passed_s[-1] <= 0 or passed_b[-1] <= 0:
            return float("nan")
        eps_s, eps_b = passed_s[counts_s] / passed_s[-1], passed_b[counts_b] / passed_b[-1]
        known = eps_b > 0
        return float((eps_s[known] / np.sqrt(eps_b[known])).max())

    return statistic


def largest_improvement(
    predictions: Predictions,
    *,
    signal: str,
    background: str,
    least_background: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measurement:
    """Measure the largest improvement, with a bootstrap over all rows; each resample finds its own threshold.

    A maximum over thresholds is pulled upward by fluctuations: `least_background` bounds how far.

    Raises
    ------
    DataError
        When a class has no rows, or the background fewer than `least_background`.
    """
    statistic = largest_improvement_statistic(
        predictions, signal=signal, background=background, least_background=least_background
    )
    return _measured(statistic, predictions, IMPROVEMENT, resamples, seed)


def _measured(
    statistic: Statistic, predictions: Predictions, definition: str, resamples: int, seed: int
) -> Measurement:
    return bootstrap_measurement(
        statistic,
        predictions.row_weights,
        definition=definition,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )
