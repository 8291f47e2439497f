"""Differences between the arms of a section; each model is resampled once, whatever it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from hepfm.core.errors import ConfigError, DataError
from hepfm.metrics.bootstrap import bootstrap_values
from hepfm.metrics.contrast import Contrast
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.paired import resampled_difference
from hepfm.metrics.predictions import FloatArray
from hepfm.report.difference import Difference, corrected
from hepfm.report.guards import guard
from hepfm.report.sections import BASELINE, Group, Result, Section
from hepfm.tasks.base import Task, load_task
from hepfm.tasks.result import MetricInfo
from hepfm.tasks.result_folder import SCORES
from hepfm.tasks.row_statistics import SAME, RowStatistics


def task_of(section: Section) -> Task:
    """Return the task that the results followed; raise `ConfigError` when its definitions changed since."""
    task = load_task(section.task.spec)
    if task.version != section.task.version:
        raise ConfigError(
            f"the results follow version {section.task.version} of the task {task.name!r}, this hepfm "
            f"has version {task.version}; evaluate the models again"
        )
    return task


def has_scores(section: Section) -> bool:
    """Tell whether the results hold a score for each test row."""
    return all((result.path / SCORES).exists() for result in section.results)


def measured_by_row(section: Section) -> bool:
    """Tell whether the results say something of each test row, so that differences pair the rows."""
    file = task_of(section).row_file
    return file is not None and all((result.path / file).exists() for result in section.results)


class Comparer:
    """Compares the arms of one section."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self._draws: dict[str, dict[str, FloatArray]] = {}
        self._rows: tuple[Result, RowStatistics] | None = None

    @cached_property
    def scored(self) -> bool:
        """Whether test rows have class scores."""
        return has_scores(self.section)

    @cached_property
    def by_row(self) -> bool:
        """Whether differences have an interval over test rows."""
        return measured_by_row(self.section)

    def difference(
        self, contrast: Contrast, budget: int | None, metric: MetricInfo, *, margin: float | None = None
    ) -> Difference | None:
        """Compare the arms of a contrast on the replicates that all of them have.

        None when an arm has no result at this budget.
        """
        groups = [self.section.find(arm, budget) for arm in contrast.arms]
        present = [group for group in groups if group is not None]
        if len(present) < len(groups):
            return None
        shared = _shared(present)
        if not shared[0].results:
            return Difference(contrast, budget, metric, None, None, margin=margin)
        values = {
            group.arm: [result.file.metric(metric.name).value for result in group.results] for group in shared
        }
        return Difference(
            contrast,
            budget,
            metric,
            contrast.measure(values, scale=metric.scale),
            self._over_rows(contrast, shared, metric) if self.by_row else None,
            guard=guard(shared, metric),
            margin=margin,
        )

    def against(
        self, references: Mapping[int | None, str], metrics: Sequence[MetricInfo]
    ) -> tuple[Difference, ...]:
        """Compare every arm with the reference of its budget, Holm-corrected over all that is returned."""
        return self._corrected(
            (Contrast(f"{group.arm} against {base}", (group.arm,), (base,)), group.budget, metric)
            for metric in metrics
            for group in self.section.by_budget
            if (base := references.get(group.budget)) is not None and base != group.arm
        )

    def contrasts(
        self, contrasts: Sequence[Contrast], metrics: Sequence[MetricInfo]
    ) -> tuple[Difference, ...]:
        """Measure contrasts at every budget, Holm-corrected over all that is returned."""
        return self._corrected(
            (contrast, budget, metric)
            for metric in metrics
            for budget in self.section.budgets
            for contrast in contrasts
        )

    def _corrected(self, asked: Iterable[tuple[Contrast, int | None, MetricInfo]]) -> tuple[Difference, ...]:
        measured = [self.difference(contrast, budget, metric) for contrast, budget, metric in asked]
        return corrected([difference for difference in measured if difference is not None])

    def _over_rows(
        self, contrast: Contrast, groups: Sequence[Group], metric: MetricInfo
    ) -> Measurement | None:
        """Return the difference with the interval over test rows, of the trainings as they are.

        None for a metric that the task cannot measure anew on resampled rows.
        """
        if any(metric.name not in self._resampled(result) for group in groups for result in group.results):
            return None
        by_arm = {
            group.arm: np.stack([self._resampled(result)[metric.name] for result in group.results], axis=1)
            for group in groups
        }
        ours, theirs = (
            np.concatenate([by_arm[arm] for arm in arms], axis=1) for arms in (contrast.plus, contrast.minus)
        )
        return resampled_difference(ours, theirs, self.section.data.rows, scale=metric.scale)

    def _resampled(self, result: Result) -> Mapping[str, FloatArray]:
        """Return by name each metric of a model on the test rows and on resamples, shape (1 + resamples,)."""
        key = str(result.path)
        if key not in self._draws:
            rows = task_of(self.section).row_statistics(result.path, result.file)
            if rows is None or not rows.metrics:
                return self._draws.setdefault(key, {})
            self._check_same_rows(result, rows)
            statistics = list(rows.metrics.values())
            itself = np.array([[statistic(rows.weights) for statistic in statistics]])
            values = np.concatenate([itself, bootstrap_values(statistics, rows.weights, groups=rows.groups)])
            self._draws[key] = dict(zip(rows.metrics, values.T, strict=True))
        return self._draws[key]

    def _check_same_rows(self, result: Result, rows: RowStatistics) -> None:
        if self._rows is None:
            self._rows = result, replace(rows, metrics={})
        first, expected = self._rows
        pairs = (getattr(expected, name) for name in SAME), (getattr(rows, name) for name in SAME)
        if not all(np.array_equal(one, other) for one, other in zip(*pairs, strict=True)):
            raise DataError(
                f"{result.path} and {first.path} hold other test rows, or say otherwise which belong "
                "together; evaluate one of them again"
            )


def against_scratch(section: Section) -> dict[int | None, str]:
    """Return scratch as the reference of every budget."""
    return dict.fromkeys(section.budgets, BASELINE)


def _shared(groups: Sequence[Group]) -> list[Group]:
    """Return the groups with the replicates that all of them have, in the same order."""
    seeds = set.intersection(*({result.seed for result in group.results} for group in groups))
    return [
        Group(group.arm, group.budget, tuple(one for one in group.results if one.seed in seeds))
        for group in groups
    ]
