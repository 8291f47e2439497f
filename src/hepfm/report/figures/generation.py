"""Curves of generated rows: a distance to real ones against the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hepfm.report.averages import average_text
from hepfm.report.figures.efficiency import (
    budget_axis,
    curve_table,
    draw_curve,
    draw_references,
    reference_text,
)
from hepfm.report.figures.style import (
    Figure,
    Pen,
    canvas_with_legend,
    legend_below,
    plain_log_axis,
    to_svg,
    two_lines,
)
from hepfm.report.summary import Curve, Reference
from hepfm.tasks.result import MetricInfo


def generation_figure(
    curves: Sequence[Curve],
    metric: MetricInfo,
    pens: Mapping[str, Pen],
    *,
    name: str,
    references: Sequence[Reference] = (),
) -> Figure:
    """Draw the curves of all arms, noise in place of a model, and real rows against other real ones."""
    figure, axes = canvas_with_legend(len(curves) + len({one.title for one in references}))
    axes.set_xscale("log")
    positive = all(map(_positive, curves))
    if positive:
        axes.set_yscale("log")
    for index, curve in enumerate(curves):
        draw_curve(axes, curve, pens[curve.arm], shift=1.045 ** (index - (len(curves) - 1) / 2))
    drawn = [one for one in references if _fits(one, positive)]
    draw_references(axes, drawn)
    budget_axis(axes, sorted({budget for curve in curves for budget in curve.budgets}))
    axes.set_xlabel("rows for fine-tuning")
    axes.set_ylabel(two_lines(metric.title))
    if positive:
        plain_log_axis(axes.yaxis)
    legend_below(axes)
    alt = f"{metric.title} against the number of rows for {', '.join(curve.arm for curve in curves)}."
    caption = _caption(curves, metric) + reference_text(drawn)
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, curve_table(curves, references))


def _positive(curve: Curve) -> bool:
    values = [value for point in curve.points for value in point.values]
    return bool(values) and all(value is not None and value > 0 for value in values)


def _fits(one: Reference, positive: bool) -> bool:
    return one.mean.value is not None and (one.mean.value > 0 or not positive)


def _caption(curves: Sequence[Curve], metric: MetricInfo) -> str:
    groups = [point.group for curve in curves for point in curve.points]
    return (
        f"{metric.title[:1].upper()}{metric.title[1:]} ({metric.definition}) against the number of rows for "
        f"fine-tuning; {'smaller' if metric.better == 'lower' else 'larger'} is better. "
        f"{average_text(groups, 'Line: mean')} Band: 68% interval of the "
        f"mean over trainings. Bars: error of one model's sample ({metric.interval}). Dots: every training."
    )
