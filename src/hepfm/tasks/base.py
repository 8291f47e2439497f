"""The contract of a task: a downstream protocol that measures a model on the test rows of a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from hepfm.core.config import Config as BaseConfig
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.data.store import Store
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.trainings import Scale
from hepfm.tasks import TASKS
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import MetricInfo, ResultFile
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Subject


@dataclass(frozen=True, kw_only=True)
class TaskMetric:
    """What is known of a metric before anything is measured.

    Attributes
    ----------
    name
        Key in results, e.g. ``"rejection_30"``.
    title
        Text of tables and axes, with the unit where there is one, e.g. ``"1/ε_B at ε_S = 0.3"``.
    scale
        Whether two models are compared by difference or by ratio; ratios are drawn on logarithmic axes.
    better
        Whether higher or lower values are better.
    explanation
        What it measures, in a sentence or two, for reports. Only needed where the definition of the
        measurement is not one of `hepfm.metrics.definitions`.
    """

    name: str
    title: str
    scale: Scale = "difference"
    better: Literal["higher", "lower"] = "higher"
    explanation: str = ""

    def info(self, measurement: Measurement, group: str = "", *, detail: bool = False) -> MetricInfo:
        """Return the row of a result file.

        Parameters
        ----------
        measurement
            The number.
        group
            Class of the rows that it is of; empty for all together.
        detail
            See `MetricInfo`.
        """
        of = self.of_group(group)
        return MetricInfo(
            name=of.name,
            title=of.title,
            scale=of.scale,
            better=of.better,
            detail=detail,
            explanation=of.explanation,
            **measurement.to_dict(),
        )

    def of_group(self, group: str) -> TaskMetric:
        """Return the metric of the rows of one class; itself for the empty name."""
        if not group:
            return self
        return replace(self, name=f"{self.name}_{group}", title=f"{self.title}, {group}")


@dataclass(frozen=True)
class ModelNeeds:
    """What a task needs of a model.

    Attributes
    ----------
    field
        A field of the rows that a head must predict; None where rows are not scored.
    generator
        Whether it must generate rows.
    conditioned
        Whether it generates them conditioned on the context of the real rows, e.g. their incident energy.
    embedding
        Whether it must give summary vectors of rows, which every model with a backbone does.
    """

    field: str | None = None
    generator: bool = False
    conditioned: bool = False
    embedding: bool = False


@dataclass(frozen=True)
class MeasureOptions:
    """How a model is to be measured, beside what the protocol says.

    Attributes
    ----------
    generation
        Options of `hepfm.inference.generate.generate`; only for tasks that generate.
    generated
        Where rows that a model generates are kept; None where nothing may be generated.
    """

    generation: Mapping[str, Any] = field(default_factory=dict)
    generated: Path | None = None


class NoOptions(BaseConfig):
    """Of a task without options."""


class Task(ABC):
    """A downstream protocol.

    A change of any definition, or of a metric, is a new `version`: results of different versions, or of
    different options, are never put into one table.

    Parameters
    ----------
    config
        Options; those by default if None.
    """

    Config: ClassVar[type[BaseConfig]] = NoOptions
    name: ClassVar[str]
    version: ClassVar[int] = 1
    title: str
    split: ClassVar[str] = "test"
    """The only split that is read."""
    primary: str
    """Name of the metric that a report opens with: the headline."""
    counted: ClassVar[str] = "labels"
    """What the rows of a budget are called: labels, or rows where nobody labelled them."""
    row_file: ClassVar[str | None] = None
    """File of a result that `row_statistics` reads; None where single rows are not measured."""

    def __init__(self, config: BaseConfig | None = None) -> None:
        self.config = config or self.Config()

    @property
    @abstractmethod
    def needs(self) -> ModelNeeds:
        """What a model must have."""

    @property
    @abstractmethod
    def fields(self) -> tuple[str, ...]:
        """Fields of the store that are read, beside what the model reads."""

    @abstractmethod
    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the metrics in the order of tables; a group of rows may add its name to them."""

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics | None:
        """Return what a result directory says of each test row; None where there is no `row_file`."""
        return None

    @abstractmethod
    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Measure a model, or generated rows, on the test rows of a store that this task is bound to.

        Raises
        ------
        ModelError
            When the model cannot do what the task needs.
        DataError
            When the rows cannot be measured on.
        """

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return this task with all that its options leave to the data filled in.

        Parameters
        ----------
        schema
            Of the store.
        where
            What to call the store in messages.

        Raises
        ------
        DataError
            When the store lacks a field or a class that the task needs.
        """
        for name in self.fields:
            if name not in schema:
                near = did_you_mean(name, schema.names())
                raise DataError(f"{where} has no field {name!r}{near}; the task {self.name!r} needs it")
        return self

    def options(self) -> dict[str, Any]:
        """Return the options, JSON-ready; a result keeps them."""
        return self.config.model_dump(mode="json")

    def objective(self) -> dict[str, Any] | None:
        """Return the section ``objective`` of a recipe that trains what is measured; None if unknown."""
        return None

    def check_options(self, options: MeasureOptions) -> None:
        """Raise `ConfigError` for options of generation that do not fit the task."""
        if options.generation:
            raise ConfigError(
                f"the task {self.name!r} generates nothing; leave out {', '.join(options.generation)}"
            )

    def metric(self, name: str) -> TaskMetric:
        """Return a metric by name; raise `ConfigError` when the task has none of this name."""
        known = {metric.name: metric for metric in self.metrics()}
        if name not in known:
            raise ConfigError(f"the task {self.name!r} has no {name!r}{did_you_mean(name, known)}")
        return known[name]

    @property
    def headline(self) -> TaskMetric:
        """The metric that a report opens with."""
        return self.metric(self.primary)

    @property
    def roc_pairs(self) -> tuple[tuple[str, str], ...]:
        """Signal and background class of the ROC curves that a report draws; none by default."""
        return ()


def load_task(spec: str | Mapping[str, Any]) -> Task:
    """Return the task of a name, or of a mapping with ``name`` and options.

    Raises
    ------
    ConfigError
        When there is no such task, or it has no such option.

    Examples
    --------
    >>> load_task({"name": "classification", "signal": "Tbqq"}).config.signal
    ('Tbqq',)
    """
    options = {} if isinstance(spec, str) else {key: value for key, value in spec.items() if key != "name"}
    name = spec if isinstance(spec, str) else str(spec.get("name"))
    if options and name in TASKS and TASKS.load(name).Config is NoOptions:
        raise ConfigError(
            f"the task {name!r} takes no options; leave out {', '.join(options)}, or take classification or "
            "regression, which measure any field"
        )
    component = resolve_component(TASKS, spec, where="task")
    task: Task = component.cls(component.config)
    return task
