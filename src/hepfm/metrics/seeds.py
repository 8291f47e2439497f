"""Spread over trainings with different seeds; never mixed with the test-set error of one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import finite

QUANTILES_FROM = 5
"""Number of seeds from which quantiles are quoted; below it the range."""


@dataclass(frozen=True)
class SeedSpread:
    """How one number differs between trainings.

    Attributes
    ----------
    median
        Median over the seeds; None when it is undefined.
    low, high
        16 % and 84 % quantiles for five seeds or more, else the smallest and largest value; None where
        undefined.
    std
        Standard deviation with ddof = 1; None for a single seed or when a value is undefined.
    count
        Number of seeds.
    kind
        What `low` and `high` are.
    """

    median: float | None
    low: float | None
    high: float | None
    std: float | None
    count: int
    kind: str


def seed_spread(values: Sequence[float | None]) -> SeedSpread:
    """Summarise one number over trainings.

    Parameters
    ----------
    values
        One per seed. None is a rejection without surviving background: it counts as larger than any number.

    Examples
    --------
    >>> seed_spread([0.90, 0.92, 0.97])
    SeedSpread(median=0.92, low=0.9, high=0.97, std=0.0360..., count=3, kind='smallest to largest of 3 seeds')
    """
    if not values:
        raise ConfigError("no seeds to summarise")
    numbers = np.array([np.inf if value is None else value for value in values])
    count = len(numbers)
    many = count >= QUANTILES_FROM
    ends = (0.16, 0.84) if many else (0.0, 1.0)
    low, high = np.quantile(numbers, ends, method="linear" if np.isfinite(numbers).all() else "inverted_cdf")
    middle = np.quantile(numbers, 0.5, method="linear" if np.isfinite(numbers).all() else "inverted_cdf")
    std = float(numbers.std(ddof=1)) if count > 1 and np.isfinite(numbers).all() else None
    return SeedSpread(finite(middle), finite(low), finite(high), std, count, _kind(count, many))


def _kind(count: int, many: bool) -> str:
    if count == 1:
        return "one seed: no spread"
    return f"16-84% quantiles of {count} seeds" if many else f"smallest to largest of {count} seeds"
