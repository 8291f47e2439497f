"""Bins of the observables of an analysis: said before anything is looked at, the same for all replicas."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.methods.observables import Values
from hepfm.methods.ratio.base import Floats


class EvenBins(Config):
    """Bins of equal width.

    Attributes
    ----------
    bins, low, high
        Number of bins and the ends of their range.
    """

    bins: int = pydantic.Field(ge=2)
    low: float
    high: float

    @pydantic.model_validator(mode="after")
    def _check(self) -> EvenBins:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        even = EvenBins.model_validate(dict(value))
        return [float(edge) for edge in np.linspace(even.low, even.high, even.bins + 1)]
    return value


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(first >= second for first, second in itertools.pairwise(edges)):
        raise ValueError("edges of bins rise")
    return edges


Edges = Annotated[
    tuple[float, ...],
    pydantic.BeforeValidator(_read),
    pydantic.Field(min_length=3),
    pydantic.AfterValidator(_rising),
]
"""Edges of bins in rising order, or ``{bins, low, high}``. What is beyond the ends counts in the first and
last bin."""

Binning = Annotated[dict[str, Edges], pydantic.Field(min_length=1)]
"""Edges by observable."""


def bin_numbers(values: Values, edges: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bin of each value, (R,); those beyond an end are in the bin there."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


def histograms(values: Values, binning: Binning, weights: Floats) -> dict[str, list[float]]:
    """Return the sums of weights in the bins of each observable, JSON-ready.

    Parameters
    ----------
    values
        Observables, (R, F), in the order of the binning.
    binning
        Edges by observable.
    weights
        Of the rows.
    """
    return {
        name: np.bincount(bin_numbers(values[:, place], edges), weights, len(edges) - 1).tolist()
        for place, (name, edges) in enumerate(binning.items())
    }
