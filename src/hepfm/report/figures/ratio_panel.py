"""Histograms over each other with the ratio to one of them below, as analyses show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hepfm.report.figures.style import (
    BASELINE_COLOUR,
    DASHES,
    INK,
    MARKERS,
    SERIES,
    Figure,
    legend,
    panels,
    to_svg,
)
from hepfm.report.table import Cell, Numbers, make_table

Floats = npt.NDArray[np.float64]
_HEIGHT, _WIDTH = 4.2, 4.0
_SHOWN = 0.5
"""Furthest from 1 that the ratio panel reaches."""


@dataclass(frozen=True)
class RatioCurve:
    """One histogram.

    Attributes
    ----------
    name
        In the legend.
    contents
        Sums of weights, (K,).
    errors
        Standard deviations, (K,); None for none.
    style
        ``filled`` for what is there before, ``points`` for data and results, ``line`` for others.
    """

    name: str
    contents: Floats
    errors: Floats | None = None
    style: Literal["filled", "points", "line"] = "line"


def ratio_figure(
    curves: Sequence[RatioCurve],
    edges: Sequence[float],
    *,
    name: str,
    xlabel: str,
    ylabel: str,
    caption: str,
) -> Figure:
    """Draw densities of histograms; the lower panel has their ratios to the first.

    Parameters
    ----------
    curves
        The first is what the others are divided by.
    edges
        Of the K bins.
    name
        Of the figure.
    xlabel, ylabel
        At the axes; the contents are divided by the widths of the bins.
    caption
        Below it.
    """
    widths = np.diff(np.asarray(edges, float))
    base = curves[0].contents
    safe = np.where(base > 0, base, np.nan)
    figure, (upper, lower) = panels(2, 1, _WIDTH, _HEIGHT)
    places = upper.get_gridspec()
    assert places is not None
    places.set_height_ratios([2.6, 1])
    for index, curve in enumerate(curves):
        for axes, unit in ((upper, widths), (lower, safe)):
            _draw(axes, curve, unit, edges, index)
    limit = _reach([curve.contents / safe for curve in curves])
    lower.set_ylim(1 - limit, 1 + limit)
    lower.axhline(1.0, color=INK, linewidth=0.6)
    lower.set_xlabel(xlabel)
    lower.set_ylabel("ratio")
    upper.set_ylabel(ylabel)
    upper.set_ylim(bottom=0, top=upper.get_ylim()[1] * 1.25)
    upper.tick_params(labelbottom=False)
    for axes in (upper, lower):
        axes.set_xlim(edges[0], edges[-1])
    legend(upper)
    alt = f"Histogram of {xlabel}: {', '.join(curve.name for curve in curves)}; ratios to the first below"
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, _numbers(curves, edges))


def _reach(ratios: Sequence[Floats]) -> float:
    """Return how far from 1 the ratio panel goes: nine tenths of the bins of each curve, within limits."""
    known = [np.abs(ratio[np.isfinite(ratio)] - 1) for ratio in ratios]
    furthest = max((float(np.quantile(one, 0.9)) for one in known if len(one)), default=0.0)
    return min(1.3 * max(furthest, 0.05), _SHOWN)


def _draw(axes: Any, curve: RatioCurve, unit: Floats, edges: Sequence[float], index: int) -> None:
    """Draw a curve divided by `unit`, (K,); the first is black, what was there before is a grey area."""
    heights, errors = curve.contents / unit, None if curve.errors is None else curve.errors / unit
    colour = SERIES[index % len(SERIES)] if index else INK
    dash, marker = DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)]
    if curve.style == "filled":
        axes.stairs(heights, edges, fill=True, alpha=0.25, color=BASELINE_COLOUR, label=curve.name)
    elif curve.style == "points":
        centres = (np.asarray(edges[:-1]) + np.asarray(edges[1:])) / 2
        pen = {"linestyle": "none", "marker": marker, "markersize": 3.0, "linewidth": 1.0}
        axes.errorbar(centres, heights, yerr=errors, color=colour, label=curve.name, **pen)
    else:
        axes.stairs(heights, edges, linewidth=1.4, linestyle=dash, color=colour, label=curve.name)


def _numbers(curves: Sequence[RatioCurve], edges: Sequence[float]) -> Numbers:
    columns: dict[str, Sequence[Cell]] = {"low": list(edges[:-1]), "high": list(edges[1:])}
    for curve in curves:
        columns[curve.name] = curve.contents.tolist()
        if curve.errors is not None:
            columns[f"{curve.name} error"] = curve.errors.tolist()
    return make_table(list(columns), list(zip(*columns.values(), strict=True)))
