"""Pulls and coverage of intervals in the bins of an observable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.report.figures.style import INK, MARKERS, SERIES, Figure, legend, panels, to_svg
from hepfm.report.table import Cell, make_table

Floats = npt.NDArray[np.float64]
_HEIGHT, _WIDTH = 4.2, 4.0


@dataclass(frozen=True)
class CoverageCurve:
    """One method in K bins.

    Attributes
    ----------
    name
        In the legend.
    low, high
        Ends of the bins, (K,).
    pull, width
        Mean and standard deviation of pulls over toys, (K,).
    share, share_low, share_high
        Share of toys whose interval covers, with the ends of its interval, (K,).
    """

    name: str
    low: Floats
    high: Floats
    pull: Floats
    width: Floats
    share: Floats
    share_low: Floats
    share_high: Floats


def coverage_figure(
    curves: Sequence[CoverageCurve], *, level: float, name: str, xlabel: str, caption: str
) -> Figure:
    """Draw mean pulls with their widths, and below the share of toys that cover.

    Parameters
    ----------
    curves
        One for each method; drawn beside each other in a bin.
    level
        Of the intervals: what the share should be.
    name, xlabel, caption
        Of the figure.
    """
    figure, (upper, lower) = panels(2, 1, _WIDTH, _HEIGHT)
    for index, one in enumerate(curves):
        place = one.low + (one.high - one.low) * (index + 1) / (len(curves) + 1)
        pen: dict[str, Any] = {
            "linestyle": "none",
            "marker": MARKERS[index],
            "markersize": 3.0,
            "linewidth": 1.0,
            "color": SERIES[index],
        }
        upper.errorbar(place, one.pull, yerr=one.width, label=one.name, **pen)
        errors = [one.share - one.share_low, one.share_high - one.share]
        lower.errorbar(place, one.share, yerr=errors, **pen)
    for line, style in ((0.0, "-"), (-1.0, ":"), (1.0, ":")):
        upper.axhline(line, color=INK, linewidth=0.6, linestyle=style)
    lower.axhline(level, color=INK, linewidth=0.6)
    lower.set_ylim(0, 1.02)
    upper.set_ylabel("pull")
    lower.set_ylabel(f"toys covered at {100 * level:.0f} %")
    lower.set_xlabel(xlabel)
    upper.tick_params(labelbottom=False)
    ends = min(one.low[0] for one in curves), max(one.high[-1] for one in curves)
    for axes in (upper, lower):
        axes.set_xlim(*ends)
    legend(upper)
    names = ", ".join(one.name for one in curves)
    alt = f"Pulls of {names} in bins of {xlabel}, and below the share of toys whose interval has the truth"
    columns = ("low", "high", "pull", "width", "share", "share_low", "share_high")
    rows: list[list[Cell]] = [
        [one.name, *(float(getattr(one, column)[bin_number]) for column in columns)]
        for one in curves
        for bin_number in range(len(one.low))
    ]
    table = make_table(["method", *columns], rows)
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, table)
