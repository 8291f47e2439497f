"""Which metric a task opens with, and whether more of it is better."""

from __future__ import annotations

from hepfm.report.sections import Section
from hepfm.report.summary import summarise
from hepfm.tasks.base import load_task
from hepfm.tasks.result import MetricInfo, ResultFile


def primary_metric(result: ResultFile) -> MetricInfo:
    """Return the metric that a report opens with."""
    return result.metric(load_task(result.task.spec).primary)


def lower_is_better(metric: MetricInfo) -> bool:
    """Tell whether a smaller value is the better one."""
    return metric.better == "lower"


def whole_metrics(result: ResultFile) -> tuple[MetricInfo, ...]:
    """Return the metrics that a report shows; those of generated rows of one class are left out."""
    return tuple(metric for metric in result.metrics if not metric.detail)


def best_arms(section: Section) -> dict[int | None, str]:
    """Return the arm with the best mean of the primary metric at each budget; the first of equals."""
    info = primary_metric(section.results[0].file)
    found: dict[int | None, str] = {}
    for budget in section.budgets:
        groups = [group for group in section.groups if group.budget == budget]
        ranked = sorted(groups, key=lambda group: rank(summarise(group, info.name).mean.value, info))
        found[budget] = ranked[0].arm
    return found


def rank(value: float | None, info: MetricInfo) -> float:
    """Return a number that is smaller for a better mean.

    A rejection that does not exist, for no background passes, is the best there is; any other mean that does
    not exist is the worst.
    """
    if value is None:
        return float("-inf") if info.scale == "ratio" else float("inf")
    return value if lower_is_better(info) else -value
