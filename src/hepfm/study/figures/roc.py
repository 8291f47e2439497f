"""ROC curves: background rejection against signal efficiency, median and spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.roc import RocCurve, roc_curve
from hepfm.metrics.seeds import QUANTILES_FROM
from hepfm.study.figures.style import Figure, Pen, canvas, legend, plain_log_axis, to_svg
from hepfm.study.results import Group
from hepfm.study.table import Table, make_table

GRID = np.linspace(0.02, 0.98, 97)
FEWEST = 10
"""A point with fewer background jets is mostly chance (error above 30 %) and is not drawn."""


@dataclass(frozen=True)
class _Band:
    """Median and spread over seeds of one group's rejections on the grid; NaN where too few jets pass."""

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
    plain_log_axis(axes)
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
    ends = (0.16, 0.84) if len(curves) >= QUANTILES_FROM else (0.0, 1.0)
    low, middle, high = _quantiles(rejections, (ends[0], 0.5, ends[1]))
    few = np.median([curve.passed for curve in curves], axis=0) < FEWEST
    return _Band(
        group,
        np.where(few, np.nan, middle),
        np.where(few, np.nan, low),
        np.where(few | ~np.isfinite(high), np.nan, high),
        curves[0].total,
    )


def _quantiles(values: FloatArray, shares: tuple[float, ...]) -> FloatArray:
    """Return quantiles over seeds, interpolated where all seeds are finite, as `seed_spread` does."""
    with np.errstate(invalid="ignore"):
        between = np.quantile(values, shares, axis=0)
    steps = np.quantile(values, shares, axis=0, method="inverted_cdf")
    return np.where(np.isfinite(values).all(axis=0), between, steps)


def _caption(bands: Sequence[_Band], signal: str, background: str) -> str:
    seeds = "; ".join(f"{band.group.arm}: {len(band.group.results)} seeds" for band in bands)
    many = all(len(band.group.results) >= QUANTILES_FROM for band in bands)
    spread = (
        "16-84% quantiles over seeds" if many else "smallest to largest seed (16-84% quantiles from 5 seeds)"
    )
    return (
        f"{signal} against {background}, score p_S/(p_S + p_B), {bands[0].total:,} background test jets; "
        f"{seeds}. Line: median over seeds. Band: {spread}; the test-set error is not in it. Curves end "
        f"where fewer than {FEWEST} background jets pass, where the test-set error is above 30%."
    )


def _numbers(bands: Sequence[_Band]) -> Table:
    rows = [
        [band.group.arm, band.group.budget, round(float(x), 4), *_cells(band, index)]
        for band in bands
        for index, x in enumerate(GRID)
    ]
    header = ("arm", "labels", "signal_efficiency", "rejection_median", "seeds_low", "seeds_high")
    return make_table(header, rows)


def _cells(band: _Band, index: int) -> list[float | None]:
    values = (band.middle[index], band.low[index], band.high[index])
    return [float(value) if np.isfinite(value) else None for value in values]
