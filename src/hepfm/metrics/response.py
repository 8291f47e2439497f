"""Response of a regression: predicted over true, its median's distance from one and its relative width.

``response_bias.v1``: |median - 1|. ``response_iqr.v1``: (75 % - 25 % quantile) / median, as 2503.19165 quotes
the resolution of a tau's visible momentum. With event weights the quantiles are those of the weighted
distribution function, without interpolation; they are not defined for negative weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.bootstrap import RESAMPLES, Statistic
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray

RowStatistic = Callable[[FloatArray, FloatArray | None], float]
"""Values of rows, shape (n,), and their weights, None for equal ones, to a number."""


def bias(response: FloatArray, weights: FloatArray | None = None) -> float:
    """Return |median - 1|, by weight."""
    return float(abs(percentiles(response, [50], weights)[0] - 1))


def relative_iqr(response: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the interquartile range over the median, by weight.

    >>> relative_iqr(np.array([0.5, 1.0, 1.0, 1.5]))
    0.25
    """
    low, middle, high = percentiles(response, [25, 50, 75], weights)
    return float((high - low) / middle)


def percentiles(values: FloatArray, percents: list[float], weights: FloatArray | None) -> FloatArray:
    """Return percentiles, with weights those of the weighted distribution function."""
    if weights is None:
        return np.percentile(values, percents)
    return np.percentile(values, percents, weights=weights, method="inverted_cdf")


def weights_statistic(values: FloatArray, statistic: RowStatistic, weights: FloatArray | None) -> Statistic:
    """Return a statistic of responses or residuals as a function of row weights, for paired comparisons.

    Without event weights a resample holds each row as often as its Poisson count says, so that quantiles
    interpolate as they do for the rows themselves. A resample without any row has no value, NaN.

    Parameters
    ----------
    values
        Responses or residuals, shape (n,).
    statistic
        A function of values and weights, e.g. `bias`.
    weights
        Event weights, shape (n,); None for equal ones, then row weights are counts.
    """

    def weighted(row_weights: FloatArray) -> float:
        if not row_weights.any():
            return float("nan")
        if weights is None:
            return statistic(np.repeat(values, row_weights.astype(np.int64)), None)
        return statistic(values, row_weights)

    return weighted


def response_measurement(
    response: FloatArray,
    statistic: RowStatistic,
    *,
    definition: str,
    weights: FloatArray | None = None,
    groups: IntArray | None = None,
    seed: int = 0,
) -> Measurement:
    """Measure a statistic of responses or residuals with the 68 % interval of a bootstrap over rows.

    Parameters
    ----------
    response
        Predicted over true, or predicted less true, shape (n,).
    statistic
        A function of responses and weights, e.g. `bias`.
    definition
        Its identifier.
    weights
        Event weights, shape (n,); None for equal ones.
    groups
        Group of each row, shape (n,): whole groups are drawn. None for rows one by one.
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        When there is no row, a weight is negative, or all weights are zero.
    """
    n = len(response)
    if n == 0:
        raise DataError("no row to measure the response of: no test row counts")
    if weights is not None and (weights.min() < 0 or weights.sum() == 0):
        raise DataError(
            f"{int((weights < 0).sum())} of {n} weights are negative and their sum is {weights.sum():.4g}: "
            "quantiles of the response are not defined; measure without weights (--weights null)"
        )
    rng = numpy_generator(seed, "metrics.response")
    member = None if groups is None else np.unique(groups, return_inverse=True)[1]
    draws = []
    for _ in range(RESAMPLES):
        rows = _drawn(rng, n, member)
        draws.append(statistic(response[rows], None if weights is None else weights[rows]))
    low, high = np.percentile(draws, [15.865, 84.135])
    return Measurement(
        statistic(response, weights), float(low), float(high), n, definition, f"bootstrap 68% ({RESAMPLES})"
    )


def _drawn(rng: np.random.Generator, n: int, member: IntArray | None) -> IntArray:
    """Return n rows drawn with replacement, or all rows of as many drawn groups as there are."""
    if member is None:
        return rng.integers(0, n, n)
    count = int(member.max()) + 1
    times = np.bincount(rng.integers(0, count, count), minlength=count)
    return np.repeat(np.arange(n), times[member])
