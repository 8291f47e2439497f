"""Statistics of two samples of one number a jet, and their bootstrap: both samples are resampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import DataError
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values, finite
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

TwoSample = Callable[[FloatArray, FloatArray], Statistic]
"""Reference values (n,) and other values (m,), all finite, to a function of the n + m row weights."""


@dataclass(frozen=True)
class Pair:
    """The values of one observable in two samples; NaN marks jets for which it is not defined.

    Attributes
    ----------
    reference, other
        Shapes (n,) and (m,).
    """

    reference: FloatArray
    other: FloatArray

    def __post_init__(self) -> None:
        for what, values in (("reference", self.reference), ("other", self.other)):
            if values.ndim != 1 or len(values) == 0:
                raise DataError(
                    f"the {what} sample has shape {values.shape}; expected (jets,) with at least one jet"
                )
            if np.isinf(values).any():
                raise DataError(f"{int(np.isinf(values).sum())} values of the {what} sample are infinite")

    @property
    def undefined(self) -> tuple[int, int]:
        """Number of jets of the two samples without a value."""
        return int(np.isnan(self.reference).sum()), int(np.isnan(self.other).sum())

    def statistic(self, kind: TwoSample) -> Statistic:
        """Return `kind` on the jets that have a value, as a function of the weights of all n + m jets."""
        defined = ~np.isnan(np.concatenate([self.reference, self.other]))
        reference, other = self.reference[~np.isnan(self.reference)], self.other[~np.isnan(self.other)]
        if len(reference) == 0 or len(other) == 0:
            return lambda weights: float("nan")
        inner = kind(reference, other)
        return lambda weights: inner(weights[defined])


def bootstrap_pairs(
    pairs: Mapping[str, Pair],
    kind: TwoSample,
    *,
    definition: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Measure `kind` on several observables of the same jets, with shared resamples.

    The interval is the value plus and minus the standard deviation over resamples, not below 0. Percentiles
    would lie too high: a distance is never negative, and each resampling adds its own fluctuation to it.

    Parameters
    ----------
    pairs
        By observable; all of the same two samples.
    kind
        What is measured, not negative.
    definition
        Identifier, to which the name of the observable is added.
    """
    sizes = {(len(pair.reference), len(pair.other)) for pair in pairs.values()}
    if len(sizes) != 1:
        raise DataError(
            f"observables of different numbers of jets: {sorted(sizes)}; give those of the same jets"
        )
    ones = np.ones(sum(sizes.pop()))
    statistics = [pair.statistic(kind) for pair in pairs.values()]
    draws = bootstrap_values(statistics, ones, resamples=resamples, seed=seed)
    errors = draws.std(axis=0, ddof=1)
    return {
        name: _measurement(statistic(ones), float(error), pair, f"{definition}.{name}", resamples)
        for (name, pair), statistic, error in zip(pairs.items(), statistics, errors, strict=True)
    }


def with_error(
    value: float, error: float, *, n: int, definition: str, interval: str, maximum: float = math.inf
) -> Measurement:
    """Return value plus and minus an error, the ends not below 0 and not above `maximum`."""
    if not np.isfinite(value - error):
        return Measurement(finite(value), None, None, n, definition, interval)
    low, high = max(value - error, 0.0), min(value + error, maximum)
    return Measurement(value, low, high, n, definition, interval)


def _measurement(value: float, error: float, pair: Pair, definition: str, resamples: int) -> Measurement:
    missing = pair.undefined
    note = f"; left out: {missing[0]} + {missing[1]} jets without a value" if any(missing) else ""
    return with_error(
        value,
        error,
        n=min(len(pair.reference) - missing[0], len(pair.other) - missing[1]),
        definition=definition,
        interval=f"bootstrap of both samples, standard deviation ({resamples}){note}",
    )
