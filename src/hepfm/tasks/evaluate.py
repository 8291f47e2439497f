"""Evaluate: measure one model on a task's test rows, with uncertainties, and keep the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import hepfm
from hepfm.core.config import validate
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.log import progress
from hepfm.core.provenance import code_commit
from hepfm.core.ragged import Array
from hepfm.data.store import Store
from hepfm.data.weights import AUTO, effective_rows, read_weights, weighed
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.tasks.base import Task, load_task
from hepfm.tasks.result import (
    RESULTS,
    CodeInfo,
    DataInfo,
    MetricInfo,
    ModelInfo,
    ResultFile,
    TaskInfo,
    Training,
    write_result,
)


class Scorer(Protocol):
    """What `measure` needs of a model."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and the config."""

    @property
    def training(self) -> Mapping[str, Any]:
        """Values of `hepfm.tasks.result.Training`."""

    def score(self, store: Store, rows: IntArray) -> Array:
        """Return class probabilities of the given rows in their order, shape (len(rows), K)."""


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: the result and where it lies."""

    path: Path
    result: ResultFile


def evaluate(
    model_path: str | Path,
    task: str | Task,
    store: str | Path | Store,
    *,
    output: str | Path,
    arm: str = "",
    device: str = "auto",
    weights: str | None = AUTO,
    options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure a model on a task and write ``results.json`` and, where rows are scored, ``scores.arrow``.

    Parameters
    ----------
    model_path
        Model directory, whose classes are those of the task. For a task of generation a model with a
        generator, or a store of generated rows.
    task
        A task or its name, e.g. ``"top_tagging"``.
    store
        Store with the task's classes; only its test split is read.
    output
        Result directory; one that is there is replaced when the new one is complete.
    arm
        What a comparison calls this way of training; made from the model's provenance when empty.
    device
        Where the model runs: ``"cpu"``, ``"cuda"``, or ``"auto"``, which takes CUDA when there is one.
    weights
        Field of the event weights; ``"auto"`` for the one with the role in the store's schema, None for equal
        weights.
    options
        Options of `hepfm.api.generate`, e.g. ``{"cells": "dataset_2", "top_p": 0.9}``, for a model on a task
        of generation; the model's own settings and seed 0 where not given.

    Raises
    ------
    ConfigError
        When options are given where nothing is generated, or do not fit the model.
    DataError
        When the store lacks the label, the test split, or has other classes than the task.
    ModelError
        When the model has other classes than the task.
    """
    from hepfm.tasks.evaluate_generation import evaluate_generation
    from hepfm.tasks.evaluate_regression import evaluate_regression
    from hepfm.tasks.generation import GenerationTask
    from hepfm.tasks.regression import RegressionTask
    from hepfm.tasks.scorer import ModelScorer

    chosen = load_task(task) if isinstance(task, str) else task
    opened = weighed(store if isinstance(store, Store) else Store.open(store), weights)
    if options and not isinstance(chosen, GenerationTask):
        raise ConfigError(f"the task {chosen.name!r} generates nothing; leave out {', '.join(options)}")
    if isinstance(chosen, RegressionTask):
        found = evaluate_regression(
            Path(model_path), chosen, opened, output=Path(output), arm=arm, device=device
        )
        return Evaluation(Path(output), found)
    if isinstance(chosen, GenerationTask):
        folder = Path(output)
        result = evaluate_generation(
            model_path, chosen, opened, output=folder, arm=arm, device=device, options=options
        )
        return Evaluation(folder, result)
    check_store(chosen, opened)
    scorer = ModelScorer.load(Path(model_path), label=chosen.label, arm=arm, device=device)
    return measure(scorer, chosen, opened, output=output, model_path=str(model_path))


def measure(
    scorer: Scorer, task: Task, store: Store, *, output: str | Path, model_path: str = ""
) -> Evaluation:
    """Score the test rows of `store`, measure every metric of `task` and write the result directory."""
    check_store(task, store)
    _check_same(scorer.classes, task.classes, ModelError, f"the model at {model_path}", task)
    rows = _rows(task, store)
    names = [name for name in task.observers if name in store.schema]
    columns = {name: np.asarray(values) for name, values in store.read([task.label, *names], rows).items()}
    labels = _reorder(store.schema[task.label].classes, task.classes)[
        columns.pop(task.label).astype(np.int64)
    ]
    weights = read_weights(store, rows)
    predictions = Predictions(labels, _score(scorer, task, store, rows), task.classes, weights)
    result = ResultFile(
        task=TaskInfo(name=task.name, version=task.version, title=task.title, classes=task.classes),
        model=ModelInfo(fingerprint=scorer.fingerprint, path=model_path),
        training=validate(Training, scorer.training, where=f"provenance of {model_path}"),
        data=DataInfo(
            fingerprint=store.fingerprint,
            split=task.split,
            rows=len(rows),
            rows_per_class={name: int((labels == k).sum()) for k, name in enumerate(task.classes)},
            weights=store.schema.weight,
            effective_rows=effective_rows(weights),
        ),
        metrics=_measure(task, predictions),
        code=CodeInfo(hepfm=hepfm.__version__, commit=code_commit()),
    )
    write_result(Path(output), result, predictions, rows=rows, observers=columns)
    return Evaluation(Path(output), result)


def check_store(task: Task, store: Store) -> None:
    """Raise `DataError` unless the store has the task's label with the task's classes, in any order."""
    if task.label not in store.schema:
        raise DataError(
            f"{store.path} has no field {task.label!r}; the task {task.name!r} needs true classes"
        )
    _check_same(store.schema[task.label].classes, task.classes, DataError, f"the store {store.path}", task)


def _rows(task: Task, store: Store) -> IntArray:
    """Return the rows of the test split whose class is one of the task's."""
    rows = np.asarray(store.split(task.split), np.int64)
    labels = np.asarray(store.read([task.label], rows)[task.label]).astype(np.int64)
    classes = store.schema[task.label].classes
    found: IntArray = rows[np.array([name not in task.ignored for name in classes])[labels]]
    if task.ignored and not len(found):
        raise DataError(f"no row of {store.path} has a class of the task {task.name!r}")
    return found


def _check_same(
    found: tuple[str, ...],
    expected: tuple[str, ...],
    error: type[DataError] | type[ModelError],
    what: str,
    task: Task,
) -> None:
    if sorted(set(found) - set(task.ignored)) == sorted(expected):
        return
    fix = "fine-tune it to the task first" if error is ModelError else "choose another task or store"
    raise error(
        f"{what} has the classes {', '.join(found) or 'none'}; "
        f"the task {task.name!r} needs {', '.join(expected)}; {fix}"
    )


def _reorder(found: tuple[str, ...], expected: tuple[str, ...]) -> IntArray:
    """Return, for each index of `found`, the index of the same name in `expected`; -1 where there is none."""
    return np.array([expected.index(name) if name in expected else -1 for name in found], np.int64)


def _score(scorer: Scorer, task: Task, store: Store, rows: IntArray) -> FloatArray:
    scores = np.asarray(scorer.score(store, rows), np.float64)
    if scores.shape != (len(rows), len(scorer.classes)):
        raise ModelError(
            f"the model gave scores of shape {scores.shape}, expected ({len(rows)}, {len(scorer.classes)})"
        )
    kept = scores[:, [scorer.classes.index(name) for name in task.classes]]
    return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-300) if task.ignored else kept


def _measure(task: Task, predictions: Predictions) -> tuple[MetricInfo, ...]:
    found = []
    metrics = task.metrics()
    with progress(f"metrics of {task.name}", len(metrics)) as advance:
        for metric in metrics:
            measured = metric.measure(predictions).to_dict()
            found.append(
                MetricInfo(
                    name=metric.name,
                    title=metric.title,
                    scale=metric.scale,
                    better=metric.better,
                    **measured,
                )
            )
            advance(1, metric.name)
    return tuple(found)


def summary_lines(evaluation: Evaluation) -> list[str]:
    """Return the metrics for people, one a line."""
    result = evaluation.result
    lines = [f"{result.task.title}: {result.data.rows_text}, arm {result.training.arm_name!r}"]
    for metric in result.metrics:
        floor = result.floor(metric.name)
        beside = "" if floor is None else f"  real against real: {_number(floor.value)}"
        ends = f"[{_number(metric.low, 'open')}, {_number(metric.high, 'open')}]"
        lines.append(f"  {metric.title:28} {_number(metric.value):>10}  {ends}{beside}  {metric.interval}")
    return [*lines, f"written to {evaluation.path / RESULTS}"]


def _number(value: float | None, missing: str = "none") -> str:
    return missing if value is None else f"{value:.5g}"
