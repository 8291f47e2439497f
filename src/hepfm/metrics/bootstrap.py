"""Bootstrap over test rows with Poisson(1) weights: the statistical uncertainty of any metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray

Statistic = Callable[[FloatArray], float]
"""Row weights, shape (n,), to a number. Everything that does not depend on the weights is done beforehand."""

ONE_SIGMA = 0.6827
"""Central probability of one standard deviation of a Gaussian."""

RESAMPLES = 200
MINIMUM_RESAMPLES = 20


def bootstrap_weights(
    n: int, *, resamples: int = RESAMPLES, seed: int = 0, groups: IntArray | None = None
) -> Iterator[FloatArray]:
    """Yield the weights, shape (n,), of each resample: independent Poisson(1) counts.

    They depend on (n, resample, seed) and the groups only, so that models compared on the same rows share
    their resamples. With `groups`, shape (n,), the rows of one group have one count: they are drawn together.
    """
    if resamples < MINIMUM_RESAMPLES:
        raise ConfigError(
            f"{resamples} resamples give no interval; take at least {MINIMUM_RESAMPLES} (default {RESAMPLES})"
        )
    member = None if groups is None else np.unique(groups, return_inverse=True)[1]
    size = n if member is None else int(member.max(initial=-1)) + 1
    for resample in range(resamples):
        counts = numpy_generator(seed, "metrics.bootstrap", resample).poisson(1.0, size).astype(np.float64)
        yield counts if member is None else counts[member]


def bootstrap_values(
    statistics: Sequence[Statistic],
    weights: FloatArray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: IntArray | None = None,
) -> FloatArray:
    """Return the values of several statistics on shared resamples, shape (resamples, len(statistics)).

    Parameters
    ----------
    statistics
        Functions of row weights.
    weights
        Weights of the rows themselves, shape (n,); they multiply the resampling counts.
    groups
        Group of each row, shape (n,): rows of one group are drawn together. None for rows one by one.
    """
    draws = bootstrap_weights(len(weights), resamples=resamples, seed=seed, groups=groups)
    return np.array([[statistic(counts * weights) for statistic in statistics] for counts in draws])


def percentile_interval(values: FloatArray, level: float = ONE_SIGMA) -> tuple[float, float]:
    """Return the central percentile interval; undefined (NaN) values widen it on both sides."""
    low = np.quantile(np.where(np.isnan(values), -np.inf, values), (1 - level) / 2, method="inverted_cdf")
    high = np.quantile(np.where(np.isnan(values), np.inf, values), (1 + level) / 2, method="inverted_cdf")
    return float(low), float(high)


def bootstrap_measurement(
    statistic: Statistic,
    weights: FloatArray,
    *,
    definition: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: IntArray | None = None,
) -> Measurement:
    """Return the statistic on the rows themselves with its 68 % bootstrap interval.

    With `groups`, shape (n,), rows of one group are drawn together; `n` of the measurement counts rows.
    """
    values = bootstrap_values([statistic], weights, resamples=resamples, seed=seed, groups=groups)[:, 0]
    low, high = percentile_interval(values)
    return Measurement(
        value=finite(statistic(weights)),
        low=finite(low),
        high=finite(high),
        n=len(weights),
        definition=definition,
        interval=f"bootstrap 68% ({resamples})",
    )


def finite(value: float) -> float | None:
    """Return the number, or None when it is infinite or undefined: JSON has neither."""
    return float(value) if math.isfinite(value) else None
