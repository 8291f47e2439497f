"""When no verdict may be given: trainings that were stopped too early, and generators that generate noise."""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.metrics.trainings import mean_over_trainings
from hepfm.study.preference import lower_is_better
from hepfm.study.results import Group
from hepfm.tasks.result import MetricInfo

MOST_IMPROVING = 0.2
"""Share of the trainings of an arm that may have had their last step as the best one."""


def guard(groups: Sequence[Group], metric: MetricInfo) -> str:
    """Return why arms cannot be compared; empty when they can."""
    return _plateau(groups) or _noise(groups, metric)


def still_improving(group: Group) -> tuple[int, int]:
    """Return how many trainings had their last step as the best, and of how many that is known."""
    known = [result.file.training.last_was_best for result in group.results]
    return sum(one is True for one in known), sum(one is not None for one in known)


def _plateau(groups: Sequence[Group]) -> str:
    for group in groups:
        improving, known = still_improving(group)
        if improving > MOST_IMPROVING * known:
            return (
                f"not trained to a plateau ({improving} of {known} runs of {group.arm} were still improving)"
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
