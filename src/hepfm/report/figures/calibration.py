"""Calibration: what share of the rows is of a sample, against the probability that a classifier says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hepfm.report.figures.style import INK, SERIES, Figure, canvas, to_svg
from hepfm.report.table import make_table


def calibration_figure(bins: Sequence[Mapping[str, float]], *, name: str) -> Figure:
    """Draw found against predicted shares.

    Parameters
    ----------
    bins
        Each with ``predicted``, ``found`` and ``rows``.
    name
        Of the figure.
    """
    figure, axes = canvas()
    predicted, found = ([one[key] for one in bins] for key in ("predicted", "found"))
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
    axes.plot(predicted, found, marker="o", markersize=3.5, linewidth=1.0, color=SERIES[0])
    ends = [*predicted, *found]
    low, high = min(ends), max(ends)
    pad = 0.05 * (high - low) + 1e-3
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlabel("predicted probability of the target")
    axes.set_ylabel("share of the target")
    alt = "Share of target rows against the predicted probability, in bins; the diagonal is perfect"
    caption = "Calibration of the classifier on rows that it did not see; both samples count alike in all."
    rows = [[one["predicted"], one["found"], one["rows"]] for one in bins]
    return Figure(
        name, to_svg(figure, name, title=alt), alt, caption, make_table(["predicted", "found", "rows"], rows)
    )
