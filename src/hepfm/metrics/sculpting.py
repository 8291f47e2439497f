"""Whether a cut changes the spectrum of what it is not meant to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp

from hepfm.metrics.predictions import FloatArray

_LEAST_EXPECTED = 5.0
"""Expected events below which neighbouring bins are joined: chi-squared is not known of fewer."""


@dataclass(frozen=True)
class Sculpting:
    """Spectra of events that pass a cut and of those that do not, which are independent.

    Attributes
    ----------
    passed, failed
        Number of events.
    chi_squared, degrees, p
        Of homogeneity of both spectra in bins; NaN where there is only one bin of enough events.
    distance, ks_p
        Largest difference of the cumulative distributions, and its p-value (Kolmogorov and Smirnov).
    """

    passed: int
    failed: int
    chi_squared: float
    degrees: int
    p: float
    distance: float
    ks_p: float


def sculpting(
    values: npt.NDArray[np.floating], passes: npt.NDArray[np.bool_], edges: FloatArray
) -> Sculpting | None:
    """Compare spectra of events that pass and fail; None where there are none of either.

    Parameters
    ----------
    values
        Of true background, (R,).
    passes
        Which events pass, (R,).
    edges
        Of the bins.
    """
    first, second = values[passes], values[~passes]
    if not len(first) or not len(second):
        return None
    table = _joined(np.stack([np.histogram(part, edges)[0] for part in (first, second)]))
    chi, degrees, p = float("nan"), 0, float("nan")
    if table.shape[1] > 1:
        test = chi2_contingency(table, correction=False)
        chi, degrees, p = float(test.statistic), int(test.dof), float(test.pvalue)
    ks = ks_2samp(first, second, method="asymp")
    return Sculpting(len(first), len(second), chi, degrees, p, float(ks.statistic), float(ks.pvalue))


def _joined(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Join neighbouring bins until each has enough expected events in the smaller of both samples."""
    share = table.sum(axis=1).min() / table.sum()
    columns: list[npt.NDArray[np.int64]] = []
    waiting = np.zeros(2, np.int64)
    for column in table.T:
        waiting = waiting + column
        if waiting.sum() * share >= _LEAST_EXPECTED:
            columns.append(waiting)
            waiting = np.zeros(2, np.int64)
    if columns:
        columns[-1] = columns[-1] + waiting
    return np.stack(columns or [waiting], axis=1)
