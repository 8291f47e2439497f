"""Significance improvement: curves over background rejection, and the maximum over the signal fraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.report.figures.style import (
    MUTED,
    Figure,
    canvas_with_legend,
    legend_below,
    pens,
    plain_log_axis,
    to_svg,
)
from hepfm.report.table import Cell, make_table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """A curve with a band.

    Attributes
    ----------
    name
        In the legend.
    x, middle, low, high
        Of its points; NaN where there is none.
    """

    name: str
    x: Floats
    middle: Floats
    low: Floats
    high: Floats


def improvement_figure(
    bands: Sequence[Band], names: Sequence[str], *, name: str, xlabel: str, ylabel: str, caption: str
) -> Figure:
    """Draw bands over a logarithmic axis.

    Parameters
    ----------
    bands
        What is drawn.
    names
        All names of the page, so that a name has the same pen on each figure.
    name
        Of the figure.
    xlabel, ylabel
        At the axes.
    caption
        Below it.
    """
    bands = [band for band in bands if (np.isfinite(band.middle) & (band.middle > 0)).any()]
    figure, axes = canvas_with_legend(len(bands))
    chosen = pens(names, "")
    for band in bands:
        pen, there = chosen[band.name], np.isfinite(band.middle) & (band.middle > 0)
        axes.fill_between(
            band.x[there], band.low[there], band.high[there], color=pen.colour, alpha=0.15, linewidth=0
        )
        axes.plot(
            band.x[there],
            band.middle[there],
            color=pen.colour,
            linestyle=pen.dash,
            marker=pen.marker,
            markersize=3.0,
            markevery=max(1, int(there.sum()) // 8),
            linewidth=1.4,
            label=band.name,
        )
    axes.axhline(1.0, color=MUTED, linewidth=0.8)
    if bands:  # a logarithmic axis needs a number above zero
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            plain_log_axis(axis)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if bands:
        legend_below(axes)
    rows: list[Sequence[Cell]] = [
        [band.name, *(float(values[place]) for values in (band.x, band.middle, band.low, band.high))]
        for band in bands
        for place in np.flatnonzero(np.isfinite(band.middle))
    ]
    alt = f"{ylabel} against {xlabel}: {', '.join(band.name for band in bands)}"
    table = make_table(["method", xlabel, "median", "quantile 0.16", "quantile 0.84"], rows)
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, table)
