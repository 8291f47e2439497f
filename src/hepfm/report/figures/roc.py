"""ROC curves: background rejection against signal efficiency, mean over trainings with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.metrics.mean_interval import FEWEST as FEWEST_TRAININGS
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.roc import RocCurve, roc_curve
from hepfm.metrics.trainings import mean_over_trainings
from hepfm.report.averages import average_text
from hepfm.report.figures.style import Figure, Pen, canvas, legend, plain_log_axis, to_svg
from hepfm.report.sections import Group
from hepfm.report.table import Numbers, make_table

GRID = np.linspace(0.02, 0.98, 97)
FEWEST = 10
"""A point with fewer background rows is mostly chance (error above 30 %) and is not drawn."""


@dataclass(frozen=True)
class _Band:
    """Mean of one group's rejections on the grid with its interval; NaN where too few rows pass."""

    group: Group
    middle: FloatArray
    low: FloatArray
    high: FloatArray
    total: int


def roc_figure(
    groups: Sequence[Group], pens: Mapping[str, Pen], *, signal: str, background: str, title: str, name: str
) -> Figure:
    """Draw one signal against the background for several groups (one budget, several arms)."""
    bands = [_band(group, signal, background) for group in groups]
    figure, axes = canvas(height=3.5)
    for band in bands:
        pen = pens[band.group.arm]
        axes.fill_between(GRID, band.low, band.high, color=pen.colour, alpha=0.18, linewidth=0)
        axes.plot(
            GRID, band.middle, color=pen.colour, linestyle=pen.dash, linewidth=1.6, label=band.group.arm
        )
    axes.plot(GRID, 1 / GRID, color="#6b7073", linestyle=":", linewidth=1.0, label="random guess")
    axes.set_yscale("log")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=1)
    plain_log_axis(axes.yaxis)
    axes.set_xlabel(f"signal efficiency ε_S ({signal})")
    axes.set_ylabel(f"background rejection 1/ε_B ({background})")
    axes.set_title(title, fontsize=9.5, loc="left")
    legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    alt = f"ROC curves, {title}: {signal} against {background}."
    return Figure(
        name, to_svg(figure, name, title=alt), alt, _caption(bands, signal, background), _numbers(bands)
    )


def _band(group: Group, signal: str, background: str) -> _Band:
    curves: list[RocCurve] = []
    for result in group.results:
        curves.append(roc_curve(result.predictions(), GRID, signal=signal, background=background))
    with np.errstate(divide="ignore"):
        rejections = np.array([1 / curve.background_efficiency for curve in curves])
    low, middle, high = _means(rejections)
    few = np.mean([curve.passed for curve in curves], axis=0) < FEWEST
    return _Band(
        group,
        np.where(few, np.nan, middle),
        np.where(few, np.nan, low),
        np.where(few, np.nan, high),
        curves[0].total,
    )


def _means(rejections: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return lower end, geometric mean and upper end over trainings at each point; NaN where undefined."""
    points = [
        mean_over_trainings([float(value) if np.isfinite(value) else None for value in column], scale="ratio")
        for column in rejections.T
    ]
    ends = [(point.low, point.value, point.high) for point in points]
    low, middle, high = np.array([[np.nan if end is None else end for end in one] for one in ends], float).T
    return low, middle, high


def _caption(bands: Sequence[_Band], signal: str, background: str) -> str:
    average = average_text([band.group for band in bands], "Line: geometric mean")
    return (
        f"{signal} against {background}, score p_S/(p_S + p_B), {bands[0].total:,} background test rows. "
        f"{average} Band: 68% interval of the mean over trainings, from {FEWEST_TRAININGS} trainings on; the "
        "statistical uncertainty of the test rows is not in it. Curves end where on average fewer than "
        f"{FEWEST} background rows pass, where that uncertainty is above 30%."
    )


def _numbers(bands: Sequence[_Band]) -> Numbers:
    rows = [
        [band.group.arm, band.group.budget, round(float(x), 4), *_cells(band, index)]
        for band in bands
        for index, x in enumerate(GRID)
    ]
    header = ("arm", "labels", "signal_efficiency", "rejection_mean", "mean_low", "mean_high")
    return make_table(header, rows)


def _cells(band: _Band, index: int) -> list[float | None]:
    values = (band.middle[index], band.low[index], band.high[index])
    return [float(value) if np.isfinite(value) else None for value in values]
