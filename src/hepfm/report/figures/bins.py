"""Bins of a histogram of a field: round edges, whole numbers, classes and angles, without squeezing tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log10, pi

import numpy as np

from hepfm.core.ragged import Array
from hepfm.core.schema import Field, Kind

_FEWEST_BINS, _MOST_BINS = 15, 50
MOST_NAMES = 24
"""Classes whose names have a place at an axis."""
_TAIL = 2.5e-3
"""Fraction of the values at either end that may be outside the axis, where they would squeeze the others."""
_SQUEEZED = 2.0
"""Ratio of the full range to that without tails above which the tails are left out."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Widths of bins, times a power of ten."""
_ANGLES = {-pi: "-π", -pi / 2: "-π/2", 0.0: "0", pi / 2: "π/2", pi: "π"}


@dataclass(frozen=True)
class PanelBins:
    """What a panel shows: bin edges, texts at the axes, and the places of ticks where they are named."""

    edges: Array
    xlabel: str
    ylabel: str
    ticks: Mapping[float, str] | None = None


def binned(field: Field, values: Array, classes: int, what: str) -> PanelBins:
    """Return the bins of a field.

    Parameters
    ----------
    field
        What the values are.
    values
        All of them.
    classes
        How many histograms share the panel.
    what
        What is counted.
    """
    xlabel = field.name if field.unit == "1" else f"{field.name} [{field.unit}]"
    if field.kind is Kind.CATEGORICAL:
        edges = np.arange(len(field.classes) + 1) - 0.5
        named = len(field.classes) <= MOST_NAMES
        return PanelBins(edges, xlabel, what, dict(enumerate(field.classes)) if named else None)
    if field.kind is Kind.FLAG:
        return PanelBins(np.arange(3) - 0.5, xlabel, what, {0: "no", 1: "yes"})
    whole = field.kind is Kind.COUNT or not len(values) or _is_whole(values)
    if whole:
        edges = whole_edges(values, classes)
    elif field.kind is Kind.ANGLE:
        edges = np.linspace(-pi, pi, _bins(values, classes) // 2 * 2 + 1)
    else:
        edges = _edges(values, classes)
    width = float(edges[1] - edges[0])
    unit = "" if field.unit == "1" else f" {field.unit}"
    per = "" if whole and width == 1 else f" / {width:.3g}{unit}"
    ticks = _ANGLES if field.kind is Kind.ANGLE else None
    return PanelBins(edges, xlabel, what + per, ticks)


def _is_whole(values: Array) -> bool:
    """Tell whether floating-point numbers are few whole ones, as charges are."""
    return bool(
        np.ptp(values) < _MOST_BINS and (values == np.round(values)).all() and len(np.unique(values)) > 1
    )


def _range(values: Array) -> tuple[float, float]:
    """Return the ends of an axis: all values, or without tails that would squeeze the others."""
    values = np.asarray(values, np.float64)
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(end) for end in np.quantile(values, (_TAIL, 1 - _TAIL)))
    if inner_high > inner_low and high - low > _SQUEEZED * (inner_high - inner_low):
        low, high = inner_low, inner_high
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bins(values: Array, classes: int) -> int:
    """Return the number of bins about which the entries of a class do not fluctuate too much."""
    return int(np.clip((len(values) / classes) ** 0.5, _FEWEST_BINS, _MOST_BINS))


def _edges(values: Array, classes: int) -> Array:
    """Return edges of bins of a round width."""
    low, high = _range(values)
    width = _round_up((high - low) / _bins(values, classes))
    first, last = floor(low / width), ceil(high / width)
    return width * np.arange(first, max(last, first + 1) + 1)


def _round_up(width: float) -> float:
    decade = 10.0 ** floor(log10(width))
    return decade * next(step for step in _STEPS if step * decade >= width * (1 - 1e-9))


def whole_edges(values: Array, classes: int) -> Array:
    """Return edges of bins of whole numbers, or of a whole number of them."""
    low, high = (round(end) for end in _range(values)) if len(values) else (0, 1)
    width = max(1, round(_round_up(max(1, (high - low) / _bins(values, classes)))))
    first = low // width * width
    return np.arange(first, high + 2 * width, width) - 0.5
