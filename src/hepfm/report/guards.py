"""When no verdict may be given: trainings that were stopped too early, and generators that generate noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hepfm.metrics.trainings import mean_over_trainings
from hepfm.report.preference import lower_is_better
from hepfm.report.sections import Group
from hepfm.tasks.result import MetricInfo

MOST_AT_AN_END = 0.2
"""Fraction of the trainings of an arm that may have had their first or last validation as the best one."""


def guard(groups: Sequence[Group], metric: MetricInfo) -> str:
    """Return why arms cannot be compared; empty when they can."""
    return _plateau(groups) or _noise(groups, metric)


@dataclass(frozen=True)
class Ends:
    """Where the best validations of an arm's trainings lie.

    Attributes
    ----------
    known
        Trainings of which it is known.
    first
        Those that got worse from their first validation on: a rate too high, and hardly any training.
    last
        Those that still improved when they were stopped.
    """

    known: int
    first: int
    last: int

    @classmethod
    def of(cls, group: Group) -> Ends:
        """Count them."""
        trainings = [
            one.file.training for one in group.results if one.file.training.last_was_best is not None
        ]
        # One validation alone is the last as well as the first: counted once.
        last = [one.last_was_best for one in trainings]
        first = [one.first_was_best and not one.last_was_best for one in trainings]
        return cls(len(trainings), sum(map(bool, first)), sum(map(bool, last)))


def _plateau(groups: Sequence[Group]) -> str:
    for group in groups:
        ends = Ends.of(group)
        if ends.first + ends.last > MOST_AT_AN_END * ends.known:
            return (
                f"not trained to a plateau (of {ends.known} runs of {group.arm}, {ends.first} were best at "
                f"their first validation and {ends.last} at their last step)"
            )
    return ""


def _noise(groups: Sequence[Group], metric: MetricInfo) -> str:
    return "both at the noise line" if all(at_noise(group, metric) for group in groups) else ""


def at_noise(group: Group, metric: MetricInfo) -> bool:
    """Tell whether what an arm generates is, on average, not better than noise within its interval."""
    ends, values = [], []
    low = lower_is_better(metric)
    for result in group.results:
        noise = result.noise(metric.name)
        if noise is None:
            return False
        end = noise.low if low else noise.high
        ends.append(noise.value if end is None else end)
        values.append(result.file.metric(metric.name).value)
    ours, theirs = (mean_over_trainings(one, scale=metric.scale).value for one in (values, ends))
    if ours is None or theirs is None:
        return False
    return ours >= theirs if low else ours <= theirs
