"""The distribution of learned weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hepfm.report.figures.style import DASHES, INK, SERIES, Figure, canvas, legend, to_svg
from hepfm.report.table import Cell, make_table

Floats = npt.NDArray[np.float64]
_BINS = 50
_LEAST = 1e-3
"""Of the mean; smaller weights, and zeros, stand in the first bin."""


def weight_figure(weights: Mapping[str, Floats], *, name: str, caption: str) -> Figure:
    """Draw histograms of weights in units of their mean, both axes logarithmic.

    Parameters
    ----------
    weights
        By what they are, (rows,) each. Negative weights and those that are no numbers are left out; the
        tables beside count them.
    name, caption
        Of the figure.
    """
    scaled = {}
    for what, values in weights.items():
        good = values[np.isfinite(values) & (values >= 0)]
        if len(good) and good.sum() > 0:
            scaled[what] = np.maximum(good / good.mean(), _LEAST)
    highest = max((float(one.max()) for one in scaled.values()), default=10.0)
    edges = np.geomspace(_LEAST, max(highest, 1.0) * 1.01, _BINS + 1)
    figure, axes = canvas()
    rows: list[list[Cell]] = []
    for index, (what, values) in enumerate(scaled.items()):
        counts, _ = np.histogram(values, edges)
        pen = {"color": SERIES[index % len(SERIES)], "linestyle": DASHES[index % len(DASHES)]}
        axes.stairs(counts, edges, linewidth=1.4, label=what, **pen)
        ends = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        rows += [[what, low, high, count] for low, high, count in ends]
    axes.axvline(1.0, color=INK, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlabel("weight / mean weight")
    axes.set_ylabel("rows")
    if scaled:
        legend(axes)
    alt = f"Histogram of weights over their mean: {', '.join(scaled)}"
    table = make_table(["weights", "low", "high", "rows"], rows)
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, table)
