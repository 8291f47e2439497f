"""Label-efficiency curve: a metric against the number of labels, every seed shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.study.figures.style import Figure, Pen, canvas, legend, plain_log_axis, to_svg
from hepfm.study.summary import Curve, Summary
from hepfm.study.table import Table, make_table
from hepfm.tasks.result import MetricInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LIMITS = (
    " Trainings that let no background jet pass have no dot; where the median is one of them, an arrow "
    "starts at its 95% lower limit. A band that leaves the frame has no upper end."
)

ARROW = 1.9
"""Length of the arrow at a lower limit, as a factor on the logarithmic axis."""


def efficiency_figure(
    curves: Sequence[Curve], metric: MetricInfo, pens: Mapping[str, Pen], *, name: str
) -> Figure:
    """Draw the curves of all arms.

    Lines join medians over seeds, bands are the spread over seeds, bars the test-set error, dots the seeds.
    """
    figure, axes = canvas()
    axes.set_xscale("log")
    if metric.scale == "ratio":
        axes.set_yscale("log")
        axes.set_ylim(*_span(curves))
    for index, curve in enumerate(curves):
        draw_curve(axes, curve, pens[curve.arm], shift=1.045 ** (index - (len(curves) - 1) / 2))
    budget_axis(axes, sorted({budget for curve in curves for budget in curve.budgets}))
    axes.set_ylabel(metric.title)
    if metric.scale == "ratio":
        plain_log_axis(axes)
    legend(axes, loc="best")
    alt = f"{metric.title} against the number of labels for {', '.join(curve.arm for curve in curves)}."
    return Figure(name, to_svg(figure, name, title=alt), alt, _caption(curves, metric), curve_table(curves))


def _span(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that holds every seed, error bar and arrow."""
    points = [point for curve in curves for point in curve.points]
    ends = [end for point in points for end in (point.test_low, point.test_high, *point.values)]
    ends += [ARROW * point.test_low for point in points if point.spread.median is None and point.test_low]
    found = [end for end in ends if end is not None]
    return min(found) / 1.4, max(found) * 1.4


def seed_band(curve: Curve, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the spread over seeds at each budget; an open upper end becomes `top`.

    NaN where the median does not exist, so that lines and bands are broken there.
    """
    spreads = [point.spread for point in curve.points]
    gone = np.array([spread.median is None for spread in spreads])
    low = np.array([np.nan if spread.low is None else spread.low for spread in spreads])
    high = np.array([top if spread.high is None else spread.high for spread in spreads])
    return np.where(gone, np.nan, low), np.where(gone, np.nan, high)


def draw_curve(axes: Axes, curve: Curve, pen: Pen, *, shift: float) -> None:
    """Draw medians, the band over seeds, bars of the test-set error and a dot for every seed."""
    x = np.array(curve.budgets, float) * shift
    middle = np.array(
        [np.nan if point.spread.median is None else point.spread.median for point in curve.points]
    )
    test_low = _filled([point.test_low for point in curve.points], middle)
    test_high = _filled([point.test_high for point in curve.points], middle)
    axes.fill_between(x, *seed_band(curve, axes.get_ylim()[1]), color=pen.colour, alpha=0.18, linewidth=0)
    axes.errorbar(
        x,
        middle,
        yerr=[middle - test_low, test_high - middle],
        color=pen.colour,
        marker=pen.marker,
        linestyle=pen.dash,
        markersize=5,
        linewidth=1.6,
        capsize=2.5,
        elinewidth=1.1,
        label=curve.arm,
    )
    _draw_limits(axes, curve, pen, shift=shift)
    for point in curve.points:
        values = [value for value in point.values if value is not None]
        budget = float(point.group.budget or 0) * shift
        axes.plot([budget] * len(values), values, ".", color=pen.colour, markersize=3, alpha=0.55, zorder=1)


def _draw_limits(axes: Axes, curve: Curve, pen: Pen, *, shift: float) -> None:
    """Draw an arrow at the lower limit where the median over seeds does not exist."""
    for point in curve.points:
        if point.spread.median is None and point.test_low is not None:
            x, low = float(point.group.budget or 0) * shift, point.test_low
            axes.plot([x], [low], marker=pen.marker, markersize=5, color=pen.colour, fillstyle="none")
            axes.annotate(
                "",
                (x, low * ARROW),
                (x, low),
                arrowprops={"arrowstyle": "->", "color": pen.colour, "shrinkA": 3, "shrinkB": 0},
            )


def _filled(values: Sequence[float | None], middle: np.ndarray) -> np.ndarray:
    """Return the ends of error bars, of no length where there is none."""
    given = np.array([np.nan if value is None else value for value in values], float)
    return np.where(np.isnan(given) | np.isnan(middle), middle, given)


def budget_axis(axes: Axes, budgets: Sequence[int]) -> None:
    """Label the axis of budgets."""
    axes.set_xlabel("labelled jets for fine-tuning")
    axes.set_xticks(budgets, [_short(budget) for budget in budgets])
    axes.set_xlim(budgets[0] / 1.35, budgets[-1] * 1.35)
    axes.xaxis.set_minor_formatter(lambda value, position: "")


def _short(budget: int) -> str:
    """Return a budget for an axis.

    >>> _short(300), _short(10_000), _short(2_000_000)
    ('300', '10k', '2M')
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if budget >= size and budget % (size // 10) == 0:
            return f"{budget / size:g}{letter}"
    return str(budget)


def _caption(curves: Sequence[Curve], metric: MetricInfo) -> str:
    counts = sorted({point.spread.count for curve in curves for point in curve.points})
    kinds = sorted({_band(point) for curve in curves for point in curve.points})
    seeds = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    undefined = any(value is None for curve in curves for point in curve.points for value in point.values)
    note = LIMITS if undefined else ""
    return (
        f"{metric.title[:1].upper()}{metric.title[1:]} ({metric.definition}) against the number of labelled "
        f"jets, {seeds} trainings (seeds) a point and {metric.n:,} "
        f"{'background ' if metric.scale == 'ratio' else ''}test jets. Line: median over seeds. Band: "
        f"{' or '.join(kinds)}. Bars: 68% test-set error of one training ({_method(metric)}); it is common "
        f"to all models in part, since they share the test jets. Dots: every training.{note} Markers are "
        "shifted sideways a little to be told apart."
    )


def _band(point: Summary) -> str:
    return "16-84% quantiles over seeds" if "quantiles" in point.spread.kind else "smallest to largest seed"


def _method(metric: MetricInfo) -> str:
    return metric.interval.split(" (")[0].removesuffix(" 68%").removesuffix(" 95% lower limit")


def curve_table(curves: Sequence[Curve]) -> Table:
    """Return the numbers of curves."""
    header = (
        "arm",
        "labels",
        "seeds",
        "median",
        "seeds_low",
        "seeds_high",
        "seeds_std",
        "test_low",
        "test_high",
    )
    rows: list[list[Any]] = [
        [
            curve.arm,
            point.group.budget,
            point.spread.count,
            point.spread.median,
            point.spread.low,
            point.spread.high,
            point.spread.std,
            point.test_low,
            point.test_high,
        ]
        for curve in curves
        for point in curve.points
    ]
    return make_table(header, rows)
