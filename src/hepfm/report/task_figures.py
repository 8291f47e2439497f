"""The figures of a task: curves against the number of labels, ROC curves, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hepfm.report.blocks import Block, folded, grid
from hepfm.report.comparer import Comparer, task_of
from hepfm.report.figures.confusion import confusion_figure
from hepfm.report.figures.efficiency import efficiency_figure
from hepfm.report.figures.generation import generation_figure
from hepfm.report.figures.roc import roc_figure
from hepfm.report.figures.similarity import SIMILARITY, similarity_figure
from hepfm.report.figures.style import Figure, Pen
from hepfm.report.preference import primary_metric, whole_metrics
from hepfm.report.sections import Section
from hepfm.report.summary import Curve, baselines, curves, lines
from hepfm.tasks.result import MetricInfo

ROC_BUDGETS = 3
"""Most budgets with a ROC figure: the smallest, the middle one and the largest."""

MANY = 4
"""Figures of one kind that stand open; more are folded away."""


@dataclass(frozen=True)
class TaskFigures:
    """Draws the figures of a task, the same pen for an arm on all of them."""

    anchor: str
    comparer: Comparer
    pens: Mapping[str, Pen]

    @property
    def section(self) -> Section:
        """The results."""
        return self.comparer.section

    def curves(self) -> list[Block]:
        """Show all curves, or only those of differences when they are many (one rejection per class)."""
        figures = [(metric, figure) for metric in self._metrics() if (figure := self._curve(metric))]
        drawn = [figure for _, figure in figures]
        if len(drawn) <= MANY or not self.comparer.scored:
            return [*grid(drawn)]
        first, rest = (
            [figure for metric, figure in figures if metric.scale == scale]
            for scale in ("difference", "ratio")
        )
        return [*grid(first), *folded(f"Rejections of {len(rest)} classes", grid(rest))]

    def _metrics(self) -> list[MetricInfo]:
        """Return the primary metric and then the others."""
        file = self.section.results[0].file
        primary = primary_metric(file)
        return [primary, *(metric for metric in whole_metrics(file) if metric.name != primary.name)]

    def _curve(self, metric: MetricInfo) -> Figure | None:
        """Draw a metric where it is known for several numbers of labels."""
        drawn = [curve for curve in curves(self.section, metric.name) if _has_values(curve)]
        if len({budget for curve in drawn for budget in curve.budgets}) < 2:
            return None
        name = f"{self.anchor}-labels-{metric.name}"
        beside = (*baselines(self.section, metric.name), *lines(self.section, metric.name))
        draw = efficiency_figure if self.comparer.scored else generation_figure
        return draw(drawn, metric, self.pens, name=name, references=beside)

    def rocs(self) -> list[Block]:
        """Show ROC curves, all but two folded away when they are many."""
        figures = self._rocs(task_of(self.section).roc_pairs)
        if len(figures) <= MANY:
            return [*grid(figures)]
        rest = figures[2:]
        return [*grid(figures[:2]), *folded(f"{len(rest)} more ROC curves", grid(rest))]

    def _rocs(self, pairs: Sequence[tuple[str, str]]) -> list[Figure]:
        budgets = self.section.budgets
        if len(budgets) > ROC_BUDGETS:
            budgets = (budgets[0], budgets[len(budgets) // 2], budgets[-1])
        chosen = budgets if len(pairs) == 1 else budgets[-1:]
        return [self._roc(budget, pair, pairs) for budget in chosen for pair in pairs]

    def _roc(self, budget: int | None, pair: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> Figure:
        signal, background = pair
        against = f"-{background}" if len({below for _, below in pairs}) > 1 else ""
        return roc_figure(
            [group for group in self.section.groups if group.budget == budget],
            self.pens,
            signal=signal,
            background=background,
            title=self.section.budget_text(budget),
            name=f"{self.anchor}-roc-{'all' if budget is None else budget}-{signal}{against}",
        )

    def similarities(self) -> list[Block]:
        """Show how alike layers are to those of another network; the training with the median metric."""
        if not all((result.path / SIMILARITY).exists() for result in self.section.results):
            return []
        metric = primary_metric(self.section.results[0].file).name
        names = [f"{self.anchor}-layers-{index}" for index in range(len(self.section.arms))]
        return [
            *grid(
                [
                    similarity_figure(self.section.of(arm)[-1], metric=metric, name=name)
                    for arm, name in zip(self.section.arms, names, strict=True)
                ]
            )
        ]

    def confusions(self) -> list[Block]:
        """Show the confusion matrix of each arm at the largest number of labels; none for two classes."""
        if len(self.section.task.classes) <= 2:
            return []
        metric = primary_metric(self.section.results[0].file).name
        names = [f"{self.anchor}-confusion-{index}" for index in range(len(self.section.arms))]
        return [
            *grid(
                [
                    confusion_figure(self.section.of(arm)[-1], metric=metric, name=name)
                    for arm, name in zip(self.section.arms, names, strict=True)
                ]
            )
        ]


def _has_values(curve: Curve) -> bool:
    return any(point.mean.value is not None for point in curve.points)
