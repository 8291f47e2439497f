"""The contract of a task: a downstream protocol with its classes, budgets and metric definitions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import Predictions
from hepfm.metrics.trainings import Scale
from hepfm.tasks import TASKS


@dataclass(frozen=True)
class TaskMetric:
    """One metric of a task.

    Attributes
    ----------
    name
        Key in results, e.g. ``"rejection_30"``.
    title
        How tables and axes call it, e.g. ``"1/ε_B at ε_S = 0.3"``.
    measure
        Predictions to the value with its test-set error.
    statistic
        Predictions to a function of row weights, for paired comparisons.
    scale
        Whether two models are compared by difference or by ratio; ratios are drawn on logarithmic axes.
    better
        Whether higher or lower values are better.
    """

    name: str
    title: str
    measure: Callable[[Predictions], Measurement]
    statistic: Callable[[Predictions], Statistic]
    scale: Scale = "difference"
    better: Literal["higher", "lower"] = "higher"


class Task(ABC):
    """A downstream protocol. Subclasses are built without arguments.

    A change of any definition below, or of a metric, is a new `version`: results of different versions are
    never put into one table.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    """Names of the classes in the order of result files; stores and models may have another order."""
    background: ClassVar[str]
    """The class that rejections are quoted for."""
    label: ClassVar[str] = "jet_label"
    """Field of the store that holds the true class."""
    ignored: ClassVar[tuple[str, ...]] = ()
    """Classes of the label that are not the task's: their rows are left out; models may know them."""
    split: ClassVar[str] = "test"
    """The only split that `evaluate` reads."""
    features: ClassVar[tuple[str, ...]]
    """Feature sets that the protocol allows, smallest first."""
    budgets: ClassVar[tuple[int, ...]]
    """Label budgets of a label-efficiency study."""
    primary: ClassVar[str]
    """Name of the metric that the report opens with."""
    observers: ClassVar[tuple[str, ...]] = ("jet_pt", "jet_eta", "jet_softdrop_mass")
    """Fields of the store that are written beside the scores, where the store has them."""

    @abstractmethod
    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the metrics in the order of tables."""

    @property
    def signals(self) -> tuple[str, ...]:
        """All classes but the background."""
        return tuple(name for name in self.classes if name != self.background)


def load_task(name: str) -> Task:
    """Return the task of a name; raise `ConfigError` when there is none."""
    task: Task = TASKS.load(name)()
    return task
