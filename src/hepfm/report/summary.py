"""Summaries of groups: the mean over trainings with its interval, and the error of the test rows, apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hepfm.metrics.trainings import Scale, TrainingMean, from_scale, mean_over_trainings, to_scale
from hepfm.report.sections import Group, Section
from hepfm.tasks.result import Baseline, MetricInfo


@dataclass(frozen=True)
class Summary:
    """One metric of one group.

    Attributes
    ----------
    group
        The trainings.
    metric
        Name of the metric.
    values
        One value per training; None for a rejection without surviving background.
    mean
        Mean over trainings with its interval.
    test_low, test_high
        Statistical uncertainty of the test rows: the mean, moved by the average distance of each model's own
        interval. Where the mean does not exist because no background passes, `test_low` is a lower limit:
        the mean with the 95 % limits in place of the missing values.
    """

    group: Group
    metric: str
    values: tuple[float | None, ...]
    mean: TrainingMean
    test_low: float | None
    test_high: float | None
    spread: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """The arm."""
        return self.group.arm

    @property
    def budget(self) -> int | None:
        """Number of labels; None for all."""
        return self.group.budget


def summarise(group: Group, metric: str) -> Summary:
    """Summarise one metric of a group."""
    infos = [result.file.metric(metric) for result in group.results]
    values = tuple(info.value for info in infos)
    mean = mean_over_trainings(values, scale=infos[0].scale)
    low, high = _test_interval(infos, infos[0].scale)
    return Summary(group, metric, values, mean, low, high)


def _test_interval(infos: Sequence[MetricInfo], scale: Scale) -> tuple[float | None, float | None]:
    if any(info.value is None for info in infos):
        return _average([info.low if info.value is None else info.value for info in infos], scale), None
    return _average([info.low for info in infos], scale), _average([info.high for info in infos], scale)


def _average(ends: Sequence[float | None], scale: Scale) -> float | None:
    """Return the mean of ends; None where one of them is open."""
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    return from_scale(float(to_scale(np.array(known, float), scale).mean()), scale)


@dataclass(frozen=True)
class Curve:
    """A label-efficiency curve: the summaries of one arm at rising budgets."""

    arm: str
    points: tuple[Summary, ...]

    @property
    def budgets(self) -> list[int]:
        """Label budgets."""
        return [point.group.budget for point in self.points if point.group.budget is not None]


def curves(section: Section, metric: str) -> tuple[Curve, ...]:
    """Return the label-efficiency curve of every arm that has a label budget."""
    found = (
        Curve(arm, tuple(summarise(group, metric) for group in section.of(arm) if group.budget is not None))
        for arm in section.arms
    )
    return tuple(curve for curve in found if curve.points)


@dataclass(frozen=True)
class Reference:
    """A line to compare with: what a trivial answer, noise, or real rows score at one budget.

    Attributes
    ----------
    title
        What it is.
    budget
        Number of labels that it was fitted to; None for all.
    mean
        Mean over the draws of labels, or of samples, with its interval.
    test_low, test_high
        Statistical uncertainty of the test rows.
    """

    title: str
    budget: int | None
    mean: TrainingMean
    test_low: float | None
    test_high: float | None

    @property
    def spread(self) -> bool:
        """Whether it was fitted or drawn several times."""
        return self.mean.count > 1


REAL, NOISE = "truth-vs-truth baseline", "noise in place of a model"


def baselines(section: Section, metric: str) -> tuple[Reference, ...]:
    """Return the trivial answers at every budget; those of equal labels count once."""
    found: dict[tuple[str, int | None], dict[int | None, MetricInfo]] = {}
    for result in section.results:
        for baseline in result.file.baselines:
            info = baseline.metric(metric)
            if info is not None:
                found.setdefault((_title(baseline), result.budget), {}).setdefault(result.seed, info)
    return tuple(_reference(title, budget, list(infos.values())) for (title, budget), infos in found.items())


def _title(baseline: Baseline) -> str:
    return baseline.title or f"{baseline.name} baseline"


def lines(section: Section, metric: str) -> tuple[Reference, ...]:
    """Return what noise scores and what real rows score against other real ones, over all budgets."""
    results = section.results
    found = []
    for title, infos in (
        (NOISE, [result.noise(metric) for result in results]),
        (REAL, [result.file.truth_line(metric) for result in results]),
    ):
        known = [info for info in infos if info is not None]
        if known:
            found.append(_reference(title, None, _distinct(known)))
    return tuple(found)


def _distinct(infos: Sequence[MetricInfo]) -> list[MetricInfo]:
    """Return measurements without repeats: many results share one measurement of the real rows."""
    return list({(info.value, info.low, info.high): info for info in infos}.values())


def _reference(title: str, budget: int | None, infos: Sequence[MetricInfo]) -> Reference:
    mean = mean_over_trainings([info.value for info in infos], scale=infos[0].scale)
    return Reference(title, budget, mean, *_test_interval(infos, infos[0].scale))
