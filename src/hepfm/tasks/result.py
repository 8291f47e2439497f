"""What ``results.json`` holds: metrics with uncertainties, and what names model, data and training."""

from __future__ import annotations

import json
from typing import Any, Literal

import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.metrics.intervals import kind_of_interval
from hepfm.metrics.measurement import Measurement

FORMAT_VERSION = 4


class Training(Config):
    """How the model came about, as far as a comparison needs it.

    Attributes
    ----------
    init
        ``"pretrained"`` or ``"scratch"`` for a fine-tuned model, ``"none"`` for one that was not fine-tuned.
    mode
        Which weights were trained, e.g. ``"full"`` or ``"frozen"``; ``""`` if not fine-tuned.
    budget
        Number of labelled rows that training saw, validation part included; None when all were used.
    seed
        Seed of label draw, new weights and order.
    parent
        Fingerprint of the model that fine-tuning started from.
    backbone
        Name of the backbone.
    arm
        What the comparison calls it; empty for a name made from `init`, `mode` and `withheld`.
    withheld
        Groups of features that were withheld in fine-tuning or in the evaluation.
    steps, best_step, first_validation
        Optimizer steps that were done, the step whose weights were kept, and the step of the first
        validation; None where the loop was not used (probes).
    updates_per_label
        Times that each training row was seen on average: steps times batch size over training rows.
    """

    init: Literal["pretrained", "scratch", "none"] = "none"
    mode: str = ""
    budget: int | None = None
    seed: int | None = None
    parent: str | None = None
    backbone: str = ""
    arm: str = ""
    withheld: tuple[str, ...] = ()
    steps: int | None = None
    best_step: int | None = None
    first_validation: int | None = None
    updates_per_label: float | None = None

    @property
    def last_was_best(self) -> bool | None:
        """Whether training was stopped while it still improved; None where that is not known."""
        return None if self.steps is None or self.best_step is None else self.best_step == self.steps

    @property
    def first_was_best(self) -> bool | None:
        """Whether nothing after the first validation was better; None where that is not known.

        Such a training shows no plateau either: its rate is too high for its few labels, it grows
        overconfident from the start, and what is kept is hardly trained.
        """
        known = self.best_step is not None and self.first_validation is not None
        return self.best_step == self.first_validation if known else None

    @property
    def arm_name(self) -> str:
        """Name of the way of training, e.g. ``"pre-trained, full"``."""
        if self.arm:
            return self.arm
        without = f", without {' and '.join(self.withheld)}" if self.withheld else ""
        if self.init == "none":
            return f"not fine-tuned{without}"
        return ("scratch" if self.init == "scratch" else f"pre-trained, {self.mode or 'full'}") + without


class TaskInfo(Config):
    """The protocol that was followed.

    Attributes
    ----------
    name, version, title
        Of the task.
    classes
        Classes in the order of scores; of generated rows those that were measured.
    options
        Options of the task, all of them spelled out.
    """

    name: str
    version: int
    title: str
    classes: tuple[str, ...]
    options: dict[str, Any] = pydantic.Field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        """What `hepfm.tasks.base.load_task` makes the same task of."""
        return {"name": self.name, **self.options}

    @property
    def key(self) -> tuple[str, int, str]:
        """What results that may be compared agree in."""
        return self.name, self.version, json.dumps(self.options, sort_keys=True)


class ModelInfo(Config):
    """The model that was measured."""

    fingerprint: str
    path: str


class DataInfo(Config):
    """The rows it was measured on.

    Attributes
    ----------
    weights
        Field of the event weights that the rows were measured with, or that rows of a task of generation were
        drawn by; None for equal weights.
    effective_rows
        ``(sum w)^2 / sum w^2`` of the rows; None for equal weights and for rows that were drawn by weight.
    """

    fingerprint: str
    split: str
    rows: int
    rows_per_class: dict[str, int]
    weights: str | None = None
    effective_rows: float | None = None

    @property
    def rows_text(self) -> str:
        """Number of rows in words, and what their weights did."""
        if self.weights is None:
            return f"{self.rows} test rows"
        if self.effective_rows is None:
            return f"{self.rows} test rows, drawn by {self.weights}"
        return f"{self.rows} test rows weighed by {self.weights}, effective number {self.effective_rows:.0f}"


class CodeInfo(Config):
    """The code that measured it."""

    hepfm: str
    commit: str | None


class MetricInfo(Config):
    """One measurement with its name and how it is compared; see `Measurement` and `TaskMetric`.

    Attributes
    ----------
    detail
        Whether a report leaves it out of its tables and curves: a number of one class where there is one of
        all classes. It is in the CSV files all the same.
    explanation
        What it measures, for reports, where its definition is not one of `hepfm.metrics.definitions`: a
        report may be made where the plug-in that measured it is not installed.
    """

    name: str
    title: str
    scale: Literal["difference", "ratio"]
    value: float | None
    low: float | None
    high: float | None
    n: int
    definition: str
    interval: str
    better: Literal["higher", "lower"] = "higher"
    detail: bool = False
    explanation: str = ""

    @property
    def error(self) -> str:
        """What the interval is: a statistical uncertainty, a fit uncertainty, a spread of batches."""
        return kind_of_interval(self.interval)

    @property
    def measurement(self) -> Measurement:
        """The plain measurement."""
        return Measurement(self.value, self.low, self.high, self.n, self.definition, self.interval)


class Baseline(Config):
    """What a trivial answer scores on the same test rows, by the names of `ResultFile.metrics`.

    Attributes
    ----------
    name
        ``"row"``: a regression on the numbers of the whole row, fitted to the same labels. ``"majority"``:
        always the commonest class, or the median.
    title
        How tables and figures call it.
    metrics
        Its measurements.
    """

    name: str
    title: str
    metrics: tuple[MetricInfo, ...]

    def metric(self, name: str) -> MetricInfo | None:
        """Return a metric by name; None where it was not measured."""
        return next((metric for metric in self.metrics if metric.name == name), None)


class ResultFile(Config):
    """Contents of ``results.json``.

    Attributes
    ----------
    truth_vs_truth
        The truth-vs-truth baseline, what a perfect generator would score, by the names of `metrics`: real
        rows against other real ones. Empty where nothing was generated.
    noise
        For generated rows: what noise scores in place of a model.
    baselines
        For scored rows: what trivial answers score.
    """

    format: Literal["hepfm-result"] = "hepfm-result"
    format_version: int = FORMAT_VERSION
    task: TaskInfo
    model: ModelInfo
    training: Training
    data: DataInfo
    metrics: tuple[MetricInfo, ...]
    truth_vs_truth: tuple[MetricInfo, ...] = ()
    noise: tuple[MetricInfo, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    code: CodeInfo

    def metric(self, name: str) -> MetricInfo:
        """Return a metric by name."""
        metrics = {metric.name: metric for metric in self.metrics}
        if name not in metrics:
            raise DataError(f"no metric {name!r} in the result; it has {', '.join(metrics)}")
        return metrics[name]

    def truth_line(self, name: str) -> MetricInfo | None:
        """Return what real rows score against other real ones, None where that was not measured."""
        return next((metric for metric in self.truth_vs_truth if metric.name == name), None)

    def noise_line(self, name: str) -> MetricInfo | None:
        """Return what noise scores, None where that was not measured."""
        return next((metric for metric in self.noise if metric.name == name), None)
