"""The figures of single searches: the spectrum after a cut, and what cuts make of that of background."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hepfm.analyses.anomaly_outcome import Outcome
from hepfm.report.figures.ratio_panel import RatioCurve, ratio_figure
from hepfm.report.figures.style import Figure


def spectrum_figure(one: Outcome, place: int, *, name: str, xlabel: str, caption: str) -> Figure | None:
    """Draw the spectrum of the data after a cut, with what the sidebands expect; None where these have no
    fit.

    Parameters
    ----------
    one
        The search.
    place
        Of the cut.
    name, xlabel, caption
        Of the figure.
    """
    cut = one["cuts"][place]
    if cut["hunt"] is None:
        return None
    counts = np.asarray(cut["counts"], np.float64)
    fit, error = (np.asarray(cut["hunt"][key]) for key in ("fit", "fit_error"))
    return ratio_figure(
        [RatioCurve("fit to sidebands", fit, error), RatioCurve("data", counts, np.sqrt(counts), "points")],
        one["edges"],
        name=name,
        xlabel=xlabel,
        ylabel="events / bin width",
        caption=caption,
    )


def sculpting_figure(one: Outcome, *, name: str, xlabel: str, caption: str) -> Figure:
    """Draw the spectrum of true test background before and after the cuts of a search."""
    total = np.asarray(one["cuts"][0]["background_all"], np.float64)
    curves = [RatioCurve("all", total / total.sum(), None, "filled")]
    for cut in one["cuts"]:
        if cut["efficiency"] == 1:
            continue
        kept = np.asarray(cut["background_kept"], np.float64)
        count = max(kept.sum(), 1.0)
        style: Literal["points", "line"] = "points" if len(curves) == 1 else "line"
        curves.append(
            RatioCurve(f"{100 * cut['efficiency']:g} %", kept / count, np.sqrt(kept) / count, style)
        )
    return ratio_figure(curves, one["edges"], name=name, xlabel=xlabel, ylabel="density", caption=caption)
