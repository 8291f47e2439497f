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
from hepfm.report.table import Cell, make_table

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
    centres = np.asarray(edges[:-1]) + widths / 2
    figure, (upper, lower) = panels(2, 1, _WIDTH, _HEIGHT)
    places = upper.get_gridspec()
    assert places is not None
    places.set_height_ratios([2.6, 1])
    base = curves[0].contents
    safe = np.where(base > 0, base, np.nan)
    deviation = 0.05
    for index, curve in enumerate(curves):
        errors = None if curve.errors is None else curve.errors
        pen: dict[str, Any] = {
            "color": BASELINE_COLOUR if curve.style == "filled" else SERIES[index % len(SERIES)]
        }
        if index == 0 and curve.style != "filled":
            pen["color"] = INK
        _draw(
            upper,
            curve,
            curve.contents / widths,
            None if errors is None else errors / widths,
            edges,
            centres,
            pen,
            index,
        )
        ratio = curve.contents / safe
        _draw(lower, curve, ratio, None if errors is None else errors / safe, edges, centres, pen, index)
        finite = ratio[np.isfinite(ratio)]
        if len(finite):
            deviation = max(deviation, float(np.quantile(np.abs(finite - 1), 0.9)))
    limit = min(1.3 * deviation, _SHOWN)
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
    header = ["low", "high"]
    columns: list[Sequence[Cell]] = [list(edges[:-1]), list(edges[1:])]
    for curve in curves:
        header.append(curve.name)
        columns.append(curve.contents.tolist())
        if curve.errors is not None:
            header.append(f"{curve.name} error")
            columns.append(curve.errors.tolist())
    rows = list(zip(*columns, strict=True))
    shown = ", ".join(curve.name for curve in curves)
    alt = f"Histogram of {xlabel}: {shown}; ratios to the first below"
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, make_table(header, rows))


def _draw(
    axes: Any,
    curve: RatioCurve,
    heights: Floats,
    errors: Floats | None,
    edges: Sequence[float],
    centres: Floats,
    pen: dict[str, Any],
    index: int,
) -> None:
    if curve.style == "filled":
        axes.stairs(heights, edges, fill=True, alpha=0.25, label=curve.name, **pen)
    elif curve.style == "points":
        axes.errorbar(
            centres,
            heights,
            yerr=errors,
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            markersize=3.0,
            linewidth=1.0,
            label=curve.name,
            **pen,
        )
    else:
        axes.stairs(
            heights, edges, linewidth=1.4, linestyle=DASHES[index % len(DASHES)], label=curve.name, **pen
        )
