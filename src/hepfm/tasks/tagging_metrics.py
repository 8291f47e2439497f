"""Metrics of class scores, as rows of `ScoreMetric` that several tasks use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hepfm.metrics.accuracy import accuracy, accuracy_statistic
from hepfm.metrics.auc import binary_auc, binary_auc_statistic, macro_auc, macro_auc_statistic
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.discovery import (
    expected_significance,
    expected_significance_statistic,
    largest_improvement,
    largest_improvement_statistic,
)
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.merged_classes import (
    joint_rejection,
    joint_rejection_statistic,
    one_vs_rest_auc,
    one_vs_rest_auc_statistic,
)
from hepfm.metrics.per_class import efficiency, efficiency_statistic, purity, purity_statistic
from hepfm.metrics.predictions import Predictions
from hepfm.metrics.rejection import rejection, rejection_statistic
from hepfm.metrics.significance import significance_improvement, significance_improvement_statistic
from hepfm.metrics.trainings import Scale
from hepfm.tasks.base import TaskMetric


@dataclass(frozen=True, kw_only=True)
class ScoreMetric(TaskMetric):
    """A metric of class scores.

    Attributes
    ----------
    measure
        Predictions to the value with its statistical uncertainty.
    statistic
        Predictions to a function of row weights, for paired comparisons.
    """

    measure: Callable[[Predictions], Measurement]
    statistic: Callable[[Predictions], Statistic]


@dataclass(frozen=True)
class _Functions:
    """A measurement and its statistic, which take the same options."""

    measure: Callable[..., Measurement]
    statistic: Callable[..., Statistic]

    def metric(self, name: str, title: str, scale: Scale = "difference", /, **options: Any) -> ScoreMetric:
        """Return the metric for some options."""
        measure, statistic = partial(self.measure, **options), partial(self.statistic, **options)
        return ScoreMetric(name=name, title=title, scale=scale, measure=measure, statistic=statistic)


_REJECTION = _Functions(rejection, rejection_statistic)
_JOINT_REJECTION = _Functions(joint_rejection, joint_rejection_statistic)
_EFFICIENCY = _Functions(efficiency, efficiency_statistic)
_PURITY = _Functions(purity, purity_statistic)
_BINARY_AUC = _Functions(binary_auc, binary_auc_statistic)
_SIGNIFICANCE = _Functions(significance_improvement, significance_improvement_statistic)
_EXPECTED_SIGNIFICANCE = _Functions(expected_significance, expected_significance_statistic)
_LARGEST_IMPROVEMENT = _Functions(largest_improvement, largest_improvement_statistic)
_ONE_VS_REST = _Functions(one_vs_rest_auc, one_vs_rest_auc_statistic)

ACCURACY = _Functions(accuracy, accuracy_statistic).metric("accuracy", "accuracy")
MACRO_AUC = _Functions(macro_auc, macro_auc_statistic).metric("auc", "AUC (macro, one vs one)")


def binary_auc_metric(*, signal: str, background: str) -> ScoreMetric:
    """Return the area under the ROC curve of a two-class task."""
    return _BINARY_AUC.metric("auc", "AUC", signal=signal, background=background)


def rejection_metric(
    name: str, *, signal: str, background: str, efficiency: float, title: str
) -> ScoreMetric:
    """Return the background rejection at one signal efficiency."""
    return _REJECTION.metric(
        name, title, "ratio", signal=signal, background=background, efficiency=efficiency
    )


def improvement_name(efficiency: float) -> str:
    """Return the name of the significance improvement at a background efficiency."""
    return f"significance_improvement_{percent_text(efficiency)}"


def improvement_metric(efficiency: float, scale: Scale, *, signal: str, background: str) -> ScoreMetric:
    """Return the significance improvement at one background efficiency."""
    return _SIGNIFICANCE.metric(
        improvement_name(efficiency),
        f"ε_S/√ε_B at ε_B = {efficiency:g}",
        scale,
        signal=signal,
        background=background,
        efficiency=efficiency,
    )


def joint_rejection_metric(
    name: str, *, signal: str, backgrounds: tuple[str, ...], efficiency: float, title: str
) -> ScoreMetric:
    """Return the rejection of several background classes together at one signal efficiency."""
    return _JOINT_REJECTION.metric(
        name, title, "ratio", signal=signal, backgrounds=backgrounds, efficiency=efficiency
    )


def one_vs_rest_metrics(classes: tuple[str, ...]) -> tuple[ScoreMetric, ...]:
    """Return the area of each class against all other rows."""
    return tuple(
        _ONE_VS_REST.metric(f"auc_{name}", f"AUC of {name} (one vs rest)", signal=name) for name in classes
    )


def class_metrics(classes: tuple[str, ...]) -> tuple[ScoreMetric, ...]:
    """Return efficiency and purity of each class, called by the most probable one."""
    return tuple(
        functions.metric(f"{kind}_{name}", f"{kind} of {name}", name=name)
        for name in classes
        for kind, functions in (("efficiency", _EFFICIENCY), ("purity", _PURITY))
    )


def binary_metrics(
    *,
    signal: str,
    background: str,
    efficiencies: tuple[float, ...] = (0.5, 0.3),
    background_efficiencies: tuple[float, ...] = (),
) -> tuple[ScoreMetric, ...]:
    """Return accuracy, AUC and rejections of two classes, and the significance improvements of a search."""
    rejections = (
        rejection_metric(
            f"rejection_{percent_text(efficiency)}",
            signal=signal,
            background=background,
            efficiency=efficiency,
            title=f"1/ε_B at ε_S = {efficiency:g}",
        )
        for efficiency in efficiencies
    )
    improvements = (
        improvement_metric(efficiency, "ratio", signal=signal, background=background)
        for efficiency in background_efficiencies
    )
    auc = binary_auc_metric(signal=signal, background=background)
    return (ACCURACY, auc, *rejections, *improvements)


def search_metrics(
    *, signal: str, background: str, uncertainty: float, least_background: int
) -> tuple[ScoreMetric, ...]:
    """Return expected significance, largest improvement and AUC; row weights are expected events."""
    classes: dict[str, Any] = {"signal": signal, "background": background}
    return (
        _EXPECTED_SIGNIFICANCE.metric(
            "expected_significance",
            "expected significance",
            uncertainty=uncertainty,
            least_background=least_background,
            **classes,
        ),
        _LARGEST_IMPROVEMENT.metric(
            "largest_improvement", "largest ε_S/√ε_B", least_background=least_background, **classes
        ),
        binary_auc_metric(**classes),
    )


def percent_text(efficiency: float) -> str:
    """Return an efficiency in per cent, for names.

    >>> percent_text(0.3), percent_text(0.995)
    ('30', '99.5')
    """
    return f"{100 * efficiency:.10g}"
