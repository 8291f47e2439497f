"""The part of the page about one task on one set of test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hepfm.metrics.contrast import Contrast
from hepfm.metrics.factorial import TIMES
from hepfm.report.blocks import Block, Bullets, Part, Text, folded, titled
from hepfm.report.comparer import Comparer, against_scratch, task_of
from hepfm.report.difference import Difference
from hepfm.report.difference_table import difference_table
from hepfm.report.figures.style import Pen
from hepfm.report.formats import number
from hepfm.report.preference import best_arms, primary_metric, whole_metrics
from hepfm.report.sections import BASELINE, Group, Section
from hepfm.report.summary import summarise
from hepfm.report.task_figures import TaskFigures
from hepfm.report.task_tables import equivalence_table, results_table, training_table
from hepfm.tasks.result import MetricInfo

EXPLORATORY = (
    " Nobody named these comparisons before the results were seen: they are exploratory. p (Holm) is "
    "corrected for all {count} lines of this table."
)
CHOSEN = (
    " The best arm is the one with the best mean on these test rows; its value is therefore slightly "
    "optimistic."
)
EFFECTS = (
    " Effect of an objective: mean of all arms with it less mean of all arms without it. Effect of a "
    f"combination ({TIMES}): half of what one gains by the presence of the other; 'better' means that "
    "together they give more than the sum of both."
)


def task_part(
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
    task = task_of(comparer.section)
    tables = _Tables(anchor, comparer, effects)
    figures = TaskFigures(anchor, comparer, pens)
    blocks: list[Block] = [
        Text(_data_line(comparer)),
        *_at_a_glance(comparer.section, tables.primary, tables.against_scratch),
        *titled(f"Metric against number of {task.counted}", figures.curves()),
        *titled("All numbers", tables.numbers()),
        *titled("Effects of the objectives (exploratory)", tables.of_effects()),
        *titled(f"Against {BASELINE} (exploratory)", tables.of_scratch()),
        *folded("Against the best arm (exploratory)", tables.of_best()),
    ]
    blocks += titled("Layer by layer", figures.similarities())
    if comparer.scored:
        blocks += titled("ROC curves", figures.rocs())
        blocks += titled("Confusion matrices", figures.confusions())
    return Part(anchor, title or comparer.section.task.title, tuple(blocks))


def _data_line(comparer: Comparer) -> str:
    section = comparer.section
    counts = ", ".join(f"{name} {count:,}" for name, count in section.data.rows_per_class.items())
    return (
        f"Protocol {section.task.name} version {section.task.version}. {section.data.rows:,} "
        f"{'test' if comparer.by_row else 'real'} rows{f' ({counts})' if counts else ''} of the data set "
        f"{section.data.fingerprint}; {len(section.results)} trained models."
    )


# -- sentences


def _at_a_glance(section: Section, primary: MetricInfo, differences: Sequence[Difference]) -> list[Bullets]:
    by_group = {(*one.contrast.plus, one.budget): one for one in differences}
    sentences = [
        _sentence(section, primary, group, by_group.get((group.arm, group.budget)))
        for group in section.by_budget
        if group.arm != BASELINE
    ]
    return [Bullets(tuple(sentences), answers=True)] if sentences else []


def _sentence(section: Section, primary: MetricInfo, group: Group, difference: Difference | None) -> str:
    base = section.find(BASELINE, group.budget)
    sentence = (
        f"{section.budget_text(group.budget)}: “{group.arm}” has {primary.title} {_mean(group, primary)}"
    )
    if base is not None and difference is not None:
        count = len(group.results)
        trainings = "1 training" if count == 1 else f"means of {count} trainings"
        sentence += f", {BASELINE} {_mean(base, primary)} ({trainings}): {_verdict(difference)}"
    return f"{sentence}."


def _mean(group: Group, metric: MetricInfo) -> str:
    return number(summarise(group, metric.name).mean.value, metric.scale)


def _verdict(difference: Difference) -> str:
    if difference.verdict not in ("better", "worse"):
        return difference.verdict
    rows = "" if difference.test is None else " (Holm-corrected) and by the test rows"
    return f"{difference.verdict}, resolved by the trainings{rows}"


# -- tables


@dataclass(frozen=True)
class _Tables:
    """The tables of the part; each CSV file holds all metrics, also those that are folded away."""

    anchor: str
    comparer: Comparer
    effects: Sequence[Contrast]

    @property
    def section(self) -> Section:
        return self.comparer.section

    @cached_property
    def primary(self) -> MetricInfo:
        return primary_metric(self.section.results[0].file)

    @cached_property
    def metrics(self) -> tuple[MetricInfo, ...]:
        return whole_metrics(self.section.results[0].file)

    @property
    def others(self) -> list[MetricInfo]:
        return [metric for metric in self.metrics if metric.name != self.primary.name]

    @cached_property
    def against_scratch(self) -> tuple[Difference, ...]:
        return self.comparer.against(against_scratch(self.section), [self.primary])

    def numbers(self) -> list[Block]:
        """Return the means, how the arms were trained, and label-equivalent factors."""
        factors = equivalence_table(self.section, self.metrics, name=f"{self.anchor}-label-equivalent")
        return [
            results_table(self.section, self.metrics, name=f"{self.anchor}-results"),
            *training_table(self.section, name=f"{self.anchor}-training"),
            *folded("Label-equivalent factor", factors if self.comparer.scored else ()),
        ]

    def of_effects(self) -> list[Block]:
        """Return what the objectives of a factorial study do; nothing without factors."""
        primary = self.comparer.contrasts(self.effects, [self.primary])
        others = self.comparer.contrasts(self.effects, self.others)
        return self._differences("effects", EFFECTS, primary, others)

    def of_scratch(self) -> list[Block]:
        """Return the comparison with scratch."""
        others = self.comparer.against(against_scratch(self.section), self.others)
        return self._differences(f"against-{BASELINE}", "", self.against_scratch, others)

    def of_best(self) -> list[Block]:
        """Return the comparison with the best arm, where it says more than that with scratch."""
        if len(self.section.arms) < 3:
            return []
        differences = self.comparer.against(best_arms(self.section), [self.primary])
        return self._differences("against-best", CHOSEN, differences, ())

    def _differences(
        self, name: str, note: str, primary: Sequence[Difference], others: Sequence[Difference]
    ) -> list[Block]:
        """Return the table of the primary metric, and the one of the others folded; one file holds both."""
        if not primary:
            return []
        scored = self.comparer.by_row
        first, rest = (note + EXPLORATORY.format(count=len(some)) for some in (primary, others))
        titles = ", ".join(metric.title for metric in self.others)
        return [
            *difference_table(primary, note=first, scored=scored, name=f"{self.anchor}-{name}", more=others),
            *folded(f"The same by {titles}", difference_table(others, note=rest, scored=scored)),
        ]
