"""Metrics that several tagging tasks share, as rows of `TaskMetric`."""

from __future__ import annotations

from functools import partial

from hepfm.metrics.accuracy import accuracy, accuracy_statistic
from hepfm.metrics.auc import binary_auc, binary_auc_statistic, macro_auc, macro_auc_statistic
from hepfm.metrics.per_class import efficiency, efficiency_statistic, purity, purity_statistic
from hepfm.metrics.rejection import rejection, rejection_statistic
from hepfm.tasks.base import TaskMetric

ACCURACY = TaskMetric("accuracy", "accuracy", accuracy, accuracy_statistic)
MACRO_AUC = TaskMetric("auc", "AUC (macro, one vs one)", macro_auc, macro_auc_statistic)


def binary_auc_metric(*, signal: str, background: str) -> TaskMetric:
    """Return the area under the ROC curve of a two-class task."""
    return TaskMetric(
        "auc",
        "AUC",
        partial(binary_auc, signal=signal, background=background),
        partial(binary_auc_statistic, signal=signal, background=background),
    )


def rejection_metric(name: str, *, signal: str, background: str, efficiency: float, title: str) -> TaskMetric:
    """Return the background rejection at one signal efficiency."""
    return TaskMetric(
        name,
        title,
        partial(rejection, signal=signal, background=background, efficiency=efficiency),
        partial(rejection_statistic, signal=signal, background=background, efficiency=efficiency),
        "ratio",
    )


def class_metrics(classes: tuple[str, ...]) -> tuple[TaskMetric, ...]:
    """Return efficiency and purity of each class, called by the most probable one."""
    return tuple(
        TaskMetric(
            f"{kind}_{name}", f"{kind} of {name}", partial(measure, name=name), partial(statistic, name=name)
        )
        for name in classes
        for kind, measure, statistic in (
            ("efficiency", efficiency, efficiency_statistic),
            ("purity", purity, purity_statistic),
        )
    )


def binary_metrics(*, signal: str, background: str) -> tuple[TaskMetric, ...]:
    """Return accuracy, AUC and the rejections at 50 % and 30 % that two-class tagging is compared by."""
    rejections = (
        rejection_metric(
            f"rejection_{percent}",
            signal=signal,
            background=background,
            efficiency=percent / 100,
            title=f"1/ε_B at ε_S = {percent / 100:g}",
        )
        for percent in (50, 30)
    )
    return (ACCURACY, binary_auc_metric(signal=signal, background=background), *rejections)
