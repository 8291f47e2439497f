"""Whether learned weights are sane: how many rows they are worth, and how much single rows count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hepfm.methods.ratio.base import Floats

TOP = 0.01
"""The rows of largest weight whose share of the sum is told."""


@dataclass(frozen=True)
class WeightSummary:
    """Numbers of a set of weights; those that are NaN or infinite are counted, and left out of the others.

    Attributes
    ----------
    rows, not_finite, negative, zero
        Numbers of weights.
    total
        Their sum.
    effective_rows
        ``(sum w)^2 / sum w^2``.
    smallest, median, largest
        Of the weights.
    top_share
        Share of the hundredth of the rows with the largest weights in the sum.
    """

    rows: int
    not_finite: int
    negative: int
    zero: int
    total: float
    effective_rows: float
    smallest: float
    median: float
    largest: float
    top_share: float

    @classmethod
    def of(cls, weights: Floats) -> WeightSummary:
        """Summarise weights."""
        good = weights[np.isfinite(weights)]
        ordered = np.sort(good)[::-1] if len(good) else np.zeros(1)
        total, squares = float(good.sum()), float(good @ good)
        top = float(ordered[: max(1, round(TOP * len(good)))].sum())
        return cls(
            rows=len(weights),
            not_finite=len(weights) - len(good),
            negative=int((good < 0).sum()),
            zero=int((good == 0).sum()),
            total=total,
            effective_rows=total**2 / squares if squares else 0.0,
            smallest=float(ordered[-1]),
            median=float(np.median(ordered)),
            largest=float(ordered[0]),
            top_share=top / total if total else 0.0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WeightSummary:
        """Return the summary of `to_dict`."""
        return cls(**values)
