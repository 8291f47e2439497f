"""One section of the report: everything about one task on one set of test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hepfm.metrics.contrast import Contrast
from hepfm.metrics.factorial import TIMES
from hepfm.report import html
from hepfm.report.comparer import Comparer, against_scratch, task_of
from hepfm.report.difference import Difference
from hepfm.report.difference_table import HOW, NO_SCORES, difference_table, differences_csv
from hepfm.report.figures.confusion import confusion_figure
from hepfm.report.figures.efficiency import efficiency_figure
from hepfm.report.figures.generation import generation_figure
from hepfm.report.figures.roc import roc_figure
from hepfm.report.figures.style import Figure, Pen
from hepfm.report.preference import best_arms, primary_metric, whole_metrics
from hepfm.report.results import BASELINE, Section, budget_text
from hepfm.report.section_tables import equivalence_table, results_csv, results_table, training_table
from hepfm.report.summary import Curve, baselines, curves, lines, summarise
from hepfm.report.table import ReportTable, number
from hepfm.tasks.result import MetricInfo

ROC_BUDGETS = 3
"""Most budgets with a ROC figure: the smallest, the middle one and the largest."""

EXPLORATORY = (
    " Nobody named these comparisons before the results were seen: they are exploratory. p (Holm) is "
    "corrected for all {count} lines of this table."
)
CHOSEN = (
    " The best arm is the one with the best mean on these test jets; its value is therefore slightly "
    "optimistic."
)
EFFECTS = (
    " Effect of an objective: mean of all arms with it less mean of all arms without it. Effect of a "
    f"combination ({TIMES}): half of what one gains by the presence of the other; 'better' means that "
    "together they give more than the sum of both."
)


@dataclass(frozen=True)
class Part:
    """A finished part of the page and the tables that become CSV files, by name."""

    anchor: str
    title: str
    html: str
    tables: Mapping[str, ReportTable]


@dataclass
class _Page:
    """A part that is being put together."""

    anchor: str
    section: Section
    comparer: Comparer
    metrics: tuple[MetricInfo, ...]
    primary: MetricInfo
    tables: dict[str, ReportTable] = field(default_factory=dict)

    @property
    def rest(self) -> tuple[MetricInfo, ...]:
        """All metrics but the primary one."""
        return tuple(metric for metric in self.metrics if metric.name != self.primary.name)

    def with_csv(self, shown: str, name: str, table: ReportTable) -> str:
        """Return a table with the link to its numbers, which are kept; nothing for an empty one."""
        if not shown:
            return ""
        self.tables[f"{self.anchor}-{name}"] = table
        return shown + html.csv_link(table, f"{self.anchor}-{name}")

    def figures(self, drawn: Sequence[Figure]) -> Sequence[Figure]:
        """Keep the numbers of figures."""
        self.tables.update({one.name: one.table for one in drawn})
        return drawn


def section_part(
    comparer: Comparer,
    *,
    pens: Mapping[str, Pen],
    anchor: str,
    title: str = "",
    effects: Sequence[Contrast] = (),
) -> Part:
    """Build the part of the page for one task.

    Parameters
    ----------
    comparer
        The results.
    title
        Heading; the task's title if empty.
    effects
        Main effects and interactions of a factorial study.
    """
    section = comparer.section
    file = section.results[0].file
    page = _Page(anchor, section, comparer, whole_metrics(file), primary_metric(file))
    task_of(section)
    scratch = comparer.against(against_scratch(section), [page.primary])
    body = (
        html.paragraph(_data_line(comparer))
        + _glance(section, page.primary, scratch)
        + html.subsection("Metric against number of labels", _curve_grids(page, pens))
        + html.subsection("All numbers", _numbers(page))
        + html.subsection("Effects of the objectives (exploratory)", _effects(page, effects))
        + html.subsection(f"Against {BASELINE} (exploratory)", _against_scratch(page, scratch))
        + _against_best(page)
        + (_scored_figures(page, pens) if comparer.scored else "")
    )
    title = title or section.task.title
    return Part(anchor, title, html.section(anchor, title, body), page.tables)


def _data_line(comparer: Comparer) -> str:
    section = comparer.section
    counts = ", ".join(f"{name} {count:,}" for name, count in section.data.rows_per_class.items())
    rows = f"{section.data.rows:,} test jets" if comparer.by_row else f"{section.data.rows:,} real rows"
    return (
        f"Protocol {section.task.name} version {section.task.version}. "
        f"{rows}{f' ({counts})' if counts else ''} of the data set {section.data.fingerprint}; "
        f"{len(section.results)} trained models."
    )


# -- sentences


def _glance(section: Section, primary: MetricInfo, found: Sequence[Difference]) -> str:
    lines_ = []
    for group in section.by_budget:
        if group.arm == BASELINE:
            continue
        difference = next(
            (d for d in found if (d.contrast.plus, d.budget) == ((group.arm,), group.budget)), None
        )
        base = section.find(BASELINE, group.budget)
        own = number(summarise(group, primary.name).mean.value, primary.scale)
        line = f"{budget_text(group.budget)}: “{group.arm}” has {primary.title} {own}"
        if base is not None and difference is not None:
            theirs = number(summarise(base, primary.name).mean.value, primary.scale)
            line += f", {BASELINE} {theirs} ({_count(len(group.results))}): {_sentence(difference)}"
        lines_.append(f"{line}.")
    return f'<div class="glance">{html.bullets(lines_)}</div>' if lines_ else ""


def _sentence(difference: Difference) -> str:
    if difference.verdict in ("better", "worse"):
        by = (
            "the trainings"
            if difference.test is None
            else "the trainings (Holm-corrected) and by the test jets"
        )
        return f"{difference.verdict}, resolved by {by}"
    return difference.verdict


def _count(trainings: int) -> str:
    return "1 training" if trainings == 1 else f"means of {trainings} trainings"


# -- tables


def _numbers(page: _Page) -> str:
    everything = results_csv(page.section, page.section.results[0].file.metrics)
    numbers = page.with_csv(results_table(page.section, page.metrics), "results", everything)
    factors = equivalence_table(page.section, page.metrics) if page.comparer.scored else ""
    folded = html.folded("Label-equivalent factor", factors) if factors else ""
    return numbers + training_table(page.section) + folded


def _effects(page: _Page, effects: Sequence[Contrast]) -> str:
    if not effects:
        return ""
    first = page.comparer.contrasts(effects, [page.primary])
    others = page.comparer.contrasts(effects, page.rest)
    return _both(page, "effects", EFFECTS, (first, others))


def _against_scratch(page: _Page, first: Sequence[Difference]) -> str:
    others = page.comparer.against(against_scratch(page.section), page.rest)
    return _both(page, f"against-{BASELINE}", "", (first, others))


def _against_best(page: _Page) -> str:
    """Return the comparison with the best arm, where it says more than that with scratch."""
    if len(page.section.arms) < 3:
        return ""
    found = page.comparer.against(best_arms(page.section), [page.primary])
    shown = _table(page, found, CHOSEN)
    shown = page.with_csv(shown, "against-best", differences_csv(found))
    return html.folded("Against the best arm (exploratory)", shown) if shown else ""


def _both(page: _Page, name: str, note: str, found: tuple[Sequence[Difference], Sequence[Difference]]) -> str:
    """Return the table of the primary metric, and the one of the others folded; one file holds both."""
    first, others = (_table(page, one, note) for one in found)
    if not first:
        return ""
    shown = page.with_csv(first, name, differences_csv([*found[0], *found[1]]))
    titles = ", ".join(metric.title for metric in page.rest)
    return shown + (html.folded(f"The same by {titles}", others) if others else "")


def _table(page: _Page, found: Sequence[Difference], note: str) -> str:
    unscored = "" if page.comparer.by_row else NO_SCORES
    return difference_table(found, caption=HOW + unscored + note + EXPLORATORY.format(count=len(found)))


# -- figures

MANY = 4
"""Figures of one kind that stand open; more are folded away."""


def _curve_grids(page: _Page, pens: Mapping[str, Pen]) -> str:
    """Show all curves, or only those of differences when they are many (one rejection per class)."""
    figures = _curve_figures(page, pens)
    drawn = page.figures([figure for _, figure in figures])
    if len(drawn) <= MANY or not page.comparer.scored:
        return html.grid(drawn)
    first = [figure for metric, figure in figures if metric.scale == "difference"]
    rest = [figure for metric, figure in figures if metric.scale == "ratio"]
    return html.grid(first) + html.folded(f"Rejections of {len(rest)} classes", html.grid(rest))


def _curve_figures(page: _Page, pens: Mapping[str, Pen]) -> list[tuple[MetricInfo, Figure]]:
    figures = []
    for metric in (page.primary, *page.rest):
        drawn = [curve for curve in curves(page.section, metric.name) if _has_values(curve)]
        if len({budget for curve in drawn for budget in curve.budgets}) > 1:
            name = f"{page.anchor}-labels-{metric.name}"
            beside = (*baselines(page.section, metric.name), *lines(page.section, metric.name))
            draw = efficiency_figure if page.comparer.scored else generation_figure
            figures.append((metric, draw(drawn, metric, pens, name=name, references=beside)))
    return figures


def _has_values(curve: Curve) -> bool:
    return any(point.mean.value is not None for point in curve.points)


def _scored_figures(page: _Page, pens: Mapping[str, Pen]) -> str:
    task = task_of(page.section)
    rocs = page.figures(_roc_figures(page, task.roc_pairs, pens))
    matrices = page.figures(_confusions(page) if len(page.section.task.classes) > 2 else [])
    return html.subsection("ROC curves", _fold_many(rocs)) + html.subsection(
        "Confusion matrices", html.grid(matrices)
    )


def _fold_many(figures: Sequence[Figure]) -> str:
    if len(figures) <= MANY:
        return html.grid(figures)
    return html.grid(figures[:2]) + html.folded(f"{len(figures) - 2} more ROC curves", html.grid(figures[2:]))


def _roc_figures(page: _Page, pairs: Sequence[tuple[str, str]], pens: Mapping[str, Pen]) -> list[Figure]:
    budgets = page.section.budgets
    if len(budgets) > ROC_BUDGETS:
        budgets = (budgets[0], budgets[len(budgets) // 2], budgets[-1])
    chosen = budgets if len(pairs) == 1 else budgets[-1:]
    backgrounds = {background for _, background in pairs}
    figures = []
    for budget in chosen:
        groups = [group for group in page.section.groups if group.budget == budget]
        for signal, background in pairs:
            against = f"-{background}" if len(backgrounds) > 1 else ""
            name = f"{page.anchor}-roc-{'all' if budget is None else budget}-{signal}{against}"
            title = budget_text(budget)
            figures.append(
                roc_figure(groups, pens, signal=signal, background=background, title=title, name=name)
            )
    return figures


def _confusions(page: _Page) -> list[Figure]:
    return [
        confusion_figure(
            page.section.of(arm)[-1], metric=page.primary.name, name=f"{page.anchor}-confusion-{index}"
        )
        for index, arm in enumerate(page.section.arms)
    ]
