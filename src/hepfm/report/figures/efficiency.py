"""Label-efficiency curve: a metric against the number of labels, every training shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.metrics.mean_interval import FEWEST
from hepfm.report.averages import average_text
from hepfm.report.figures.style import (
    MUTED,
    Figure,
    Pen,
    canvas_with_legend,
    legend_below,
    plain_log_axis,
    to_svg,
    two_lines,
)
from hepfm.report.summary import Curve, Reference
from hepfm.report.table import Numbers, make_table
from hepfm.tasks.result import MetricInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LIMITS = (
    " Trainings in which no background row passes have no dot; where there is one of them the mean does not "
    "exist, and an arrow starts at the lower limit."
)

ARROW = 1.9
"""Length of the arrow at a lower limit, as a factor on the logarithmic axis."""

REFERENCE_DASHES: tuple[Any, ...] = ((0, (1, 1.5)), (0, (4, 2, 1, 2)), (0, (6, 3)))


def efficiency_figure(
    curves: Sequence[Curve],
    metric: MetricInfo,
    pens: Mapping[str, Pen],
    *,
    name: str,
    references: Sequence[Reference] = (),
) -> Figure:
    """Draw the curves of all arms, and the trivial answers beside them.

    Lines join means over trainings, bands are the 68 % intervals of the means, bars the statistical
    uncertainty of the test rows, dots the trainings.
    """
    figure, axes = canvas_with_legend(len(curves) + len({one.title for one in references}))
    axes.set_xscale("log")
    if metric.scale == "ratio":
        axes.set_yscale("log")
        axes.set_ylim(*_span(curves, references))
    for index, curve in enumerate(curves):
        draw_curve(axes, curve, pens[curve.arm], shift=1.045 ** (index - (len(curves) - 1) / 2))
    draw_references(axes, references)
    budget_axis(axes, sorted({budget for curve in curves for budget in curve.budgets}))
    axes.set_ylabel(two_lines(metric.title))
    if metric.scale == "ratio":
        plain_log_axis(axes.yaxis)
    legend_below(axes)
    alt = f"{metric.title} against the number of labels for {', '.join(curve.arm for curve in curves)}."
    caption = _caption(curves, metric) + reference_text(references)
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, curve_table(curves, references))


def _span(curves: Sequence[Curve], references: Sequence[Reference]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that holds every training, error bar, arrow and line."""
    points = [point for curve in curves for point in curve.points]
    ends = [end for point in points for end in (point.test_low, point.test_high, *point.values)]
    ends += [ARROW * point.test_low for point in points if point.mean.value is None and point.test_low]
    ends += [reference.mean.value for reference in references]
    found = [end for end in ends if end is not None]
    return min(found) / 1.4, max(found) * 1.4


def draw_references(axes: Axes, references: Sequence[Reference]) -> None:
    """Draw trivial answers along the budgets, and what holds for all budgets across the figure."""
    for index, title in enumerate(dict.fromkeys(reference.title for reference in references)):
        mine = [one for one in references if one.title == title and one.mean.value is not None]
        style = {"color": MUTED, "linewidth": 1.0, "linestyle": REFERENCE_DASHES[index % 3], "label": title}
        along = sorted(
            (one.budget, one.mean.value)
            for one in mine
            if one.budget is not None and one.mean.value is not None
        )
        if len(along) > 1:
            axes.plot([float(budget) for budget, _ in along], [value for _, value in along], **style)
        elif mine and mine[0].mean.value is not None:
            axes.axhline(mine[0].mean.value, **style)


def reference_text(references: Sequence[Reference]) -> str:
    """Return what the grey lines are."""
    titles = list(dict.fromkeys(one.title for one in references if one.mean.value is not None))
    return f" Grey lines: {', '.join(titles)}." if titles else ""


def mean_band(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of the mean at each budget; NaN where there is none."""
    ends = [(point.mean.low, point.mean.high) for point in curve.points]
    low, high = np.array([[np.nan if end is None else end for end in pair] for pair in ends], float).T
    return low, high


def draw_curve(axes: Axes, curve: Curve, pen: Pen, *, shift: float) -> None:
    """Draw means, their band, bars of the test rows' uncertainty and a dot for every training."""
    x = np.array(curve.budgets, float) * shift
    middle = np.array([np.nan if point.mean.value is None else point.mean.value for point in curve.points])
    test_low = _filled([point.test_low for point in curve.points], middle)
    test_high = _filled([point.test_high for point in curve.points], middle)
    axes.fill_between(x, *mean_band(curve), color=pen.colour, alpha=0.18, linewidth=0)
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
    """Draw an arrow at the lower limit where the mean over trainings does not exist."""
    for point in curve.points:
        if point.mean.value is None and point.test_low is not None:
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
    axes.set_xlabel("labelled rows for fine-tuning")
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
    groups = [point.group for curve in curves for point in curve.points]
    undefined = any(value is None for curve in curves for point in curve.points for value in point.values)
    note = LIMITS if undefined else ""
    mean = "geometric mean" if metric.scale == "ratio" else "mean"
    rows = f"{metric.n:,} {'background ' if metric.scale == 'ratio' else ''}test rows"
    return (
        f"{metric.title[:1].upper()}{metric.title[1:]} ({metric.definition}) against the number of labelled "
        f"rows, {rows}. {average_text(groups, f'Line: {mean}')} Band: 68% "
        f"interval of the mean over trainings, from {FEWEST} trainings on. Bars: statistical uncertainty of "
        f"the test rows, 68% ({method(metric)}); it is partly common to all models, since they share the "
        f"test rows. Dots: every training.{note} Markers are shifted sideways to be distinguishable."
    )


def method(metric: MetricInfo) -> str:
    """Return how the interval of a single measurement was made, without counts."""
    return metric.interval.split(" (")[0].removesuffix(" 68%").removesuffix(" 95% lower limit")


def curve_table(curves: Sequence[Curve], references: Sequence[Reference] = ()) -> Numbers:
    """Return the numbers of curves, and of the lines beside them."""
    header = (
        "arm",
        "labels",
        "trainings",
        "mean",
        "mean_low",
        "mean_high",
        "std",
        "test_low",
        "test_high",
    )
    points = [
        (curve.arm, point.group.budget, point.mean, point.test_low, point.test_high)
        for curve in curves
        for point in curve.points
    ]
    points += [(one.title, one.budget, one.mean, one.test_low, one.test_high) for one in references]
    rows = [
        [name, budget, mean.count, mean.value, mean.low, mean.high, mean.std, *ends]
        for name, budget, mean, *ends in points
    ]
    return make_table(header, rows)
