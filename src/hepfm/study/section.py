"""One section of the report: everything about one task on one set of test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hepfm.study import html
from hepfm.study.differences import Difference, differences, task_of
from hepfm.study.figures.confusion import confusion_figure
from hepfm.study.figures.efficiency import efficiency_figure
from hepfm.study.figures.roc import roc_figure
from hepfm.study.figures.style import Figure, Pen
from hepfm.study.results import BASELINE, Group, Section, budget_text
from hepfm.study.section_tables import (
    difference_table,
    differences_csv,
    equivalence_table,
    results_csv,
    results_table,
)
from hepfm.study.summary import Curve, curves, summarise
from hepfm.study.table import Table, number
from hepfm.tasks.result import MetricInfo

ROC_BUDGETS = 3
"""Most budgets with a ROC figure: the smallest, the middle one and the largest."""


@dataclass(frozen=True)
class Part:
    """A finished part of the page and the tables that become CSV files, by name."""

    anchor: str
    title: str
    html: str
    tables: Mapping[str, Table]


def section_part(section: Section, *, pens: Mapping[str, Pen], anchor: str) -> Part:
    """Build the part of the page for one task."""
    task = task_of(section)
    found = differences(section)
    metrics = section.results[0].file.metrics
    primary = next(metric for metric in metrics if metric.name == task.primary)
    curve_metrics = [primary, *(metric for metric in metrics if metric is not primary)]
    curve_figures = _curve_figures(section, curve_metrics, pens, anchor)
    rocs = _roc_figures(section, task.signals, task.background, pens, anchor)
    matrices = _confusions(section, primary.name, anchor) if len(task.classes) > 2 else []
    tables = {
        f"{anchor}-results": results_csv(section),
        **({f"{anchor}-differences": differences_csv(found)} if found else {}),
        **{drawn.name: drawn.table for drawn in (*(figure for _, figure in curve_figures), *rocs, *matrices)},
    }
    body = (
        html.paragraph(_data_line(section))
        + _glance(section, primary, found)
        + html.subsection("Metric against number of labels", _curve_grids(curve_figures))
        + html.subsection("Label-equivalent factor", equivalence_table(section, curve_metrics))
        + html.subsection("All numbers", _with_csv(results_table(section), tables, f"{anchor}-results"))
        + html.subsection(
            f"Against {BASELINE}",
            _with_csv(difference_table(found, metrics), tables, f"{anchor}-differences"),
        )
        + html.subsection("ROC curves", _fold_many(rocs))
        + html.subsection("Confusion matrices", html.grid(matrices))
    )
    return Part(anchor, section.task.title, html.section(anchor, section.task.title, body), tables)


def _with_csv(table: str, tables: Mapping[str, Table], name: str) -> str:
    return table + html.csv_link(tables[name], name) if table else ""


def _data_line(section: Section) -> str:
    counts = ", ".join(f"{name} {count:,}" for name, count in section.data.rows_per_class.items())
    return (
        f"Protocol {section.task.name} version {section.task.version}. {section.data.rows:,} test jets "
        f"({counts}) of the data set {section.data.fingerprint}; {len(section.results)} trained models."
    )


# -- sentences


def _glance(section: Section, primary: MetricInfo, found: Sequence[Difference]) -> str:
    lines = []
    for group in section.by_budget:
        if group.arm == BASELINE:
            continue
        difference = next((d for d in found if d.group == group and d.metric == primary.name), None)
        base = section.find(BASELINE, group.budget)
        own = number(summarise(group, primary.name).spread.median, primary.scale)
        line = f"{budget_text(group.budget)}: “{group.arm}” has {primary.title} {own}"
        if base is not None and difference is not None:
            theirs = number(summarise(base, primary.name).spread.median, primary.scale)
            line += f", {BASELINE} {theirs} ({_seeds(group)}): {_sentence(difference)}"
        lines.append(f"{line}.")
    return f'<div class="glance">{html.bullets(lines)}</div>' if lines else ""


def _sentence(difference: Difference) -> str:
    if difference.verdict in ("better", "worse"):
        return f"{difference.verdict}, resolved by the test jets and by the seeds (95% each)"
    return f"{difference.verdict} (95%)"


def _seeds(group: Group) -> str:
    count = len(group.results)
    return "1 seed" if count == 1 else f"medians of {count} seeds"


# -- figures

MANY = 4
"""Figures of one kind that stand open; more are folded away."""


def _curve_grids(figures: Sequence[tuple[MetricInfo, Figure]]) -> str:
    """Show all curves, or only those of differences when they are many (one rejection per class)."""
    drawn = [figure for _, figure in figures]
    if len(drawn) <= MANY:
        return html.grid(drawn)
    first = [figure for metric, figure in figures if metric.scale == "difference"]
    rest = [figure for metric, figure in figures if metric.scale == "ratio"]
    return html.grid(first) + html.folded(f"Rejections of {len(rest)} classes", html.grid(rest))


def _fold_many(figures: Sequence[Figure]) -> str:
    if len(figures) <= MANY:
        return html.grid(figures)
    return html.grid(figures[:2]) + html.folded(f"{len(figures) - 2} more ROC curves", html.grid(figures[2:]))


def _curve_figures(
    section: Section, metrics: Sequence[MetricInfo], pens: Mapping[str, Pen], anchor: str
) -> list[tuple[MetricInfo, Figure]]:
    figures = []
    for metric in metrics:
        drawn = [curve for curve in curves(section, metric.name) if _has_values(curve)]
        if len({budget for curve in drawn for budget in curve.budgets}) > 1:
            name = f"{anchor}-labels-{metric.name}"
            figures.append((metric, efficiency_figure(drawn, metric, pens, name=name)))
    return figures


def _has_values(curve: Curve) -> bool:
    return any(point.spread.median is not None for point in curve.points)


def _roc_figures(
    section: Section, signals: Sequence[str], background: str, pens: Mapping[str, Pen], anchor: str
) -> list[Figure]:
    budgets = section.budgets
    if len(budgets) > ROC_BUDGETS:
        budgets = (budgets[0], budgets[len(budgets) // 2], budgets[-1])
    chosen = budgets if len(signals) == 1 else budgets[-1:]
    figures = []
    for budget in chosen:
        groups = [group for group in section.groups if group.budget == budget]
        for signal in signals:
            name = f"{anchor}-roc-{'all' if budget is None else budget}-{signal}"
            title = budget_text(budget)
            figures.append(
                roc_figure(groups, pens, signal=signal, background=background, title=title, name=name)
            )
    return figures


def _confusions(section: Section, metric: str, anchor: str) -> list[Figure]:
    return [
        confusion_figure(section.of(arm)[-1], metric=metric, name=f"{anchor}-confusion-{index}")
        for index, arm in enumerate(section.arms)
    ]
