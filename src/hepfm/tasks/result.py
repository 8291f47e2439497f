"""A result directory: what one model scored on one task, and the scores themselves.

``results.json`` holds the metrics with their uncertainties and everything that names the model, the data and
the training. Beside it lie the tables of the task, which any Arrow reader opens:

- ``scores.arrow`` of a task with classes: for each test row its number in the store, the true class, the
  class probabilities, its event weight and the number of its group if it has one, and some observers;
- ``predictions.arrow`` of a regression: the same with the true and the predicted number, what is measured of
  both (residual or response), and the group;
- ``constituents.arrow`` of classes of constituents: the same as ``scores.arrow`` with lists, see
  `hepfm.tasks.constituent_tables`; ``vertices.arrow``: pairs of tracks of each jet;
- ``spectra.arrow`` of generated rows: binned spectra, see `hepfm.tasks.spectra`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pydantic

from hepfm.core.config import Config, validate
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import atomic_path, read_json, refuse_other_folder, write_json
from hepfm.core.guards import member, reading
from hepfm.core.ragged import Array
from hepfm.metrics.intervals import kind_of_interval
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import IntArray, Predictions

RESULTS, SCORES, PREDICTIONS = "results.json", "scores.arrow", "predictions.arrow"
FORMAT_VERSION = 4
_PREFIX, _WEIGHT = "score_", "weight"
ROW_GROUP = "row_group"
"""Column of the tables: number of the group of rows that are resampled together, where there are groups."""
_NUMBERS = ("truth", "predicted", "error", "group")
_AGAIN = "run hepfm evaluate again"


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


def scores_table(predictions: Predictions, *, rows: IntArray, observers: Mapping[str, Array]) -> pa.Table:
    """Return ``scores.arrow``; see `read_scores`."""
    scores = {
        f"{_PREFIX}{name}": predictions.probabilities[:, index].astype(np.float32)
        for index, name in enumerate(predictions.classes)
    }
    labels = {"label": predictions.labels.astype(np.int16)}
    more = _given({_WEIGHT: predictions.weights, ROW_GROUP: predictions.groups})
    return rows_table(rows, {**labels, **more, **scores, **observers})


@dataclass(frozen=True)
class PredictedNumbers:
    """Predicted numbers of test rows.

    Attributes
    ----------
    rows
        Numbers of the rows in their store.
    truth, predicted
        True and predicted number.
    error
        Their residual or response, whichever the task measures.
    group
        Name of each row's group; empty without groups.
    weights
        Event weights; None for equal ones.
    row_groups
        Numbers of the groups of rows that are resampled together; None without.
    """

    rows: IntArray
    truth: Array
    predicted: Array
    error: Array
    group: Array
    weights: Array | None
    row_groups: IntArray | None = None


def predictions_table(numbers: PredictedNumbers, *, observers: Mapping[str, Array]) -> pa.Table:
    """Return ``predictions.arrow`` of a regression; see `read_predictions`."""
    columns = {name: getattr(numbers, name) for name in _NUMBERS}
    more = _given({_WEIGHT: numbers.weights, ROW_GROUP: numbers.row_groups})
    return rows_table(numbers.rows, {**columns, **more, **observers})


def rows_table(rows: IntArray, columns: Mapping[str, Array]) -> pa.Table:
    """Return a table of columns of test rows, their numbers in the store first."""
    arrays = {"row": rows, **columns}
    return pa.table({name: pa.array(np.ascontiguousarray(values)) for name, values in arrays.items()})


def _given(columns: Mapping[str, Array | None]) -> dict[str, Array]:
    return {name: values for name, values in columns.items() if values is not None}


def write_result(folder: Path, result: ResultFile, tables: Mapping[str, pa.Table]) -> None:
    """Write a result directory with its tables; nothing appears at `folder` before it is complete."""
    refuse_other_folder(folder, mark=RESULTS, what="result directory")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_json(temporary / RESULTS, result.model_dump(mode="json"))
        for name, table in tables.items():
            with (
                pa.OSFile(str(temporary / name), "wb") as file,
                pa.ipc.new_file(file, table.schema) as writer,
            ):
                writer.write_table(table)


def read_result(folder: Path) -> ResultFile:
    """Read ``results.json``; raise `DataError` when it is missing, damaged or of another format."""
    if not folder.is_dir():
        raise DataError(f"no result directory {folder}; make one with `hepfm evaluate`")
    path = folder / RESULTS
    values = read_json(member(folder, RESULTS), DataError)
    if not isinstance(values, dict) or values.get("format") != "hepfm-result":
        raise DataError(f"{path} is not a result of hepfm evaluate")
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path} has format version {version!r}, this hepfm reads {FORMAT_VERSION}; run "
            "hepfm evaluate again"
        )
    try:
        return validate(ResultFile, values, where=str(path))
    except ConfigError as error:
        raise DataError(f"{error}; run hepfm evaluate again") from None


def read_scores(folder: Path, result: ResultFile) -> tuple[Predictions, IntArray]:
    """Read the scores of a result: predictions in the task's class order, and the store's row numbers."""
    with reading(folder / SCORES, what="scores", fix=_AGAIN):
        table = _read_rows(folder, SCORES, result)
        columns = [table[f"{_PREFIX}{name}"] for name in result.task.classes]
        scores = np.stack(columns, axis=1).astype(np.float64)
        labels = table["label"].astype(np.int64)
        weights, groups = table.get(_WEIGHT), table.get(ROW_GROUP)
        predictions = Predictions(labels, scores, result.task.classes, weights, groups)
        return predictions, table["row"].astype(np.int64)


def read_observers(folder: Path, result: ResultFile, names: Sequence[str]) -> dict[str, Array]:
    """Read columns that a task wrote beside the scores."""
    with reading(folder / SCORES, what="scores", fix=_AGAIN):
        table = _read_rows(folder, SCORES, result)
        return {name: table[name] for name in names}


def read_predictions(folder: Path, result: ResultFile) -> PredictedNumbers:
    """Read the predicted numbers of a regression's result."""
    with reading(folder / PREDICTIONS, what="predictions", fix=_AGAIN):
        table = _read_rows(folder, PREDICTIONS, result)
        columns = {name: table[name] for name in _NUMBERS}
        return PredictedNumbers(
            rows=table["row"].astype(np.int64),
            **columns,
            weights=table.get(_WEIGHT),
            row_groups=table.get(ROW_GROUP),
        )


def read_columns(folder: Path, name: str, result: ResultFile) -> dict[str, Array]:
    """Read a table of numbers of test rows, its columns by name."""
    with reading(folder / name, what="a table of rows", fix=_AGAIN):
        return _read_rows(folder, name, result)


def _read_rows(folder: Path, name: str, result: ResultFile) -> dict[str, Array]:
    """Return the columns of a table of test rows; with weights just where the result was measured so."""
    with pa.memory_map(str(member(folder, name))) as file:
        table = pa.ipc.open_file(file).read_all()
    table.validate(full=True)
    if len(table) != result.data.rows:
        raise DataError(f"{folder / name} has {len(table)} rows, {RESULTS} says {result.data.rows}; {_AGAIN}")
    columns = {key: table.column(key).to_numpy(zero_copy_only=False) for key in table.column_names}
    if result.data.weights is None:
        columns.pop(_WEIGHT, None)
    elif _WEIGHT not in columns:
        raise DataError(f"{folder / name} has no weights, {RESULTS} says there are; {_AGAIN}")
    return columns
