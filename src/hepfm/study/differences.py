"""Is one way of training better than the baseline? Asked twice: of the test rows, and of the trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError, DataError
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.paired import Scale, excludes, neutral, paired_bootstrap, paired_seeds
from hepfm.metrics.predictions import Predictions
from hepfm.study.results import BASELINE, Group, Result, Section
from hepfm.tasks.base import Task, TaskMetric, load_task


@dataclass(frozen=True)
class Difference:
    """One arm against another, the baseline if nothing else is said, at one budget, by one metric.

    Attributes
    ----------
    group
        The arm and budget.
    reference
        Name of the arm it is compared with.
    metric, scale
        What is compared, and whether as a difference or as a ratio.
    test
        With the 95 % interval over test rows, for these very trainings.
    seeds
        With the 95 % interval over trainings, on these very test rows.
    """

    group: Group
    reference: str
    metric: str
    scale: Scale
    test: Measurement
    seeds: Measurement

    @property
    def verdict(self) -> str:
        """``"better"`` or ``"worse"`` when both intervals say so, else ``"not resolved"`` and by what."""
        equal = neutral(self.scale)
        by_test, by_seeds = excludes(self.test, equal), excludes(self.seeds, equal)
        if by_test and by_seeds and self.seeds.value is not None:
            return "better" if self.seeds.value > equal else "worse"
        if self.seeds.n == 1:
            return "not resolved: one pair of seeds"
        if by_test:
            return "not resolved by the seeds"
        return "not resolved by the test jets" if by_seeds else "not resolved"


def task_of(section: Section) -> Task:
    """Return the task that the results followed; raise `ConfigError` when its definitions changed since."""
    task = load_task(section.task.name)
    if task.version != section.task.version:
        raise ConfigError(
            f"the results follow version {section.task.version} of the task {task.name!r}, this hepfm "
            f"has version {task.version}; evaluate the models again"
        )
    return task


def differences(
    section: Section, *, references: Mapping[int | None, str] | None = None
) -> tuple[Difference, ...]:
    """Compare every arm with a reference, at every budget that both have, on the seeds that both have.

    Parameters
    ----------
    section
        The results.
    references
        Name of the arm to compare with, by budget; the baseline at every budget when None.
    """
    metrics = task_of(section).metrics()
    found = []
    for group in section.by_budget:
        reference = BASELINE if references is None else references.get(group.budget, "")
        base = section.find(reference, group.budget)
        if base is None or group.arm == reference:
            continue
        ours, theirs = paired(group, base)
        if ours:
            found += _compare(group, reference, (ours, theirs), metrics)
    return tuple(found)


def paired(group: Group, base: Group) -> tuple[list[Result], list[Result]]:
    """Return the results of both groups at the seeds that both have, in the same order."""
    by_seed = {result.seed: result for result in base.results}
    ours = [result for result in group.results if result.seed in by_seed]
    return ours, [by_seed[result.seed] for result in ours]


def _compare(
    group: Group,
    reference: str,
    results: tuple[list[Result], list[Result]],
    metrics: tuple[TaskMetric, ...],
) -> list[Difference]:
    ours, theirs = results
    left = [result.predictions() for result in ours]
    right = [result.predictions() for result in theirs]
    _check_same_rows([*left, *right], [*ours, *theirs])
    return [
        Difference(
            group,
            reference,
            metric.name,
            metric.scale,
            paired_bootstrap(
                [metric.statistic(predictions) for predictions in left],
                [metric.statistic(predictions) for predictions in right],
                left[0].row_weights,
                scale=metric.scale,
            ),
            paired_seeds(_values(ours, metric.name), _values(theirs, metric.name), scale=metric.scale),
        )
        for metric in metrics
    ]


def _values(results: list[Result], metric: str) -> list[float | None]:
    return [result.file.metric(metric).value for result in results]


def _check_same_rows(predictions: list[Predictions], results: list[Result]) -> None:
    for other, result in zip(predictions[1:], results[1:], strict=True):
        if not np.array_equal(other.labels, predictions[0].labels):
            raise DataError(
                f"{result.path} and {results[0].path} hold other test rows; evaluate one of them again"
            )
