"""Summaries of groups: the median over seeds, the spread over seeds, and the test-set error, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from hepfm.metrics.seeds import SeedSpread, seed_spread
from hepfm.study.results import Group, Section
from hepfm.tasks.result import MetricInfo


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
        One value per seed; None for a rejection without surviving background.
    spread
        Median and spread over seeds.
    test_low, test_high
        Test-set interval around the median: the median over seeds of each model's own distances. Where the
        median is undefined, `test_low` is the median of the lower limits.
    """

    group: Group
    metric: str
    values: tuple[float | None, ...]
    spread: SeedSpread
    test_low: float | None
    test_high: float | None


def summarise(group: Group, metric: str) -> Summary:
    """Summarise one metric of a group."""
    infos = [result.file.metric(metric) for result in group.results]
    spread = seed_spread([info.value for info in infos])
    low, high = _test_interval(spread.median, infos)
    return Summary(group, metric, tuple(info.value for info in infos), spread, low, high)


def _test_interval(middle: float | None, infos: list[MetricInfo]) -> tuple[float | None, float | None]:
    if middle is None:
        limits = [info.low for info in infos if info.value is None and info.low is not None]
        return (median(limits) if limits else None), None
    below = [info.value - info.low for info in infos if info.value is not None and info.low is not None]
    above = [info.high - info.value for info in infos if info.value is not None and info.high is not None]
    return (middle - median(below) if below else None), (middle + median(above) if above else None)


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
