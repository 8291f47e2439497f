"""The 1-Wasserstein distance of two samples of a number: the area between their distribution functions.

The values are sorted once and the distance is then a function of row weights, so that a bootstrap or a draw
with replacement costs one pass; equal to `scipy.stats.wasserstein_distance`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepfm.metrics.bootstrap import RESAMPLES, Statistic
from hepfm.metrics.generation.two_sample import Pair, bootstrap_pairs
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

DEFINITION = "w1.v1"


def w1_statistic(reference: FloatArray, other: FloatArray) -> Statistic:
    """Return W1 as a function of row weights, the reference's first, shape (n + m,)."""
    values = np.concatenate([reference, other])
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    is_reference = order < len(reference)

    def statistic(weights: FloatArray) -> float:
        total, rest = weights[: len(reference)].sum(), weights[len(reference) :].sum()
        if total == 0 or rest == 0:
            return float("nan")
        sorted_ = weights[order]
        steps = np.where(is_reference, sorted_ / total, -sorted_ / rest)
        return float(np.abs(np.cumsum(steps)[:-1]) @ gaps)

    return statistic


def w1(pairs: Mapping[str, Pair], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Measurement]:
    """Measure W1 of several observables, in their units, with the bootstrap error of both samples.

    Examples
    --------
    >>> values = np.arange(100.0)
    >>> round(w1({"mass": Pair(values, values + 2.0)})["mass"].value, 9)
    2.0
    """
    return bootstrap_pairs(pairs, w1_statistic, definition=DEFINITION, resamples=resamples, seed=seed)
