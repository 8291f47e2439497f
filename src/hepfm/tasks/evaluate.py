"""Evaluate: measure one model on a task's test rows, with uncertainties, and keep what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hepfm
from hepfm.core.config import validate
from hepfm.core.files import output_path
from hepfm.core.provenance import code_commit
from hepfm.data.store import Store
from hepfm.data.weights import AUTO, weighed
from hepfm.tasks.base import MeasureOptions, Task, load_task
from hepfm.tasks.baselines import FittedAnswer
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import CodeInfo, DataInfo, ModelInfo, ResultFile, TaskInfo, Training
from hepfm.tasks.result_folder import RESULTS, write_result
from hepfm.tasks.subject import NamedScorer, ScorerSubject, Subject


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: the result and where it lies."""

    path: Path
    result: ResultFile


def evaluate(
    model_path: str | Path,
    task: str | Mapping[str, Any] | Task,
    store: str | Path | Store,
    *,
    output: str | Path,
    arm: str = "",
    withhold: Sequence[str] = (),
    device: str = "auto",
    weights: str | None = AUTO,
    options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure a model on a task and write ``results.json`` and the tables of the task.

    Parameters
    ----------
    model_path
        Model directory. For a task of generation a model with a generator, whose rows are written to a store
        named like the result with ``-jets``, or a store of generated rows.
    task
        A task, its name, e.g. ``"top_tagging"``, or a mapping with ``name`` and options, e.g. ``{"name":
        "classification", "field": "jet_label", "signal": "Tbqq", "background": ["QCD", "Hbb"]}``.
    store
        Store with the fields of the task; only its test split is read.
    output
        Result directory; one that is there is replaced when the new one is complete.
    arm
        What a comparison calls this way of training; made from the model's provenance when empty.
    withhold
        Groups of features that the model reads as zero, e.g. ``["identity"]``; see
        `hepfm.inference.withhold.withhold`. The name of the arm says so, unless it is given.
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
        When the task has no such option, or the model no such group of features; when options are given where
        nothing is generated, or do not fit the model.
    DataError
        When the store lacks a field, the test split, or classes of the task.
    ModelError
        When the model does not predict or generate what the task needs.
    """
    from hepfm.tasks.model_subject import open_subject

    folder = output_path(output)
    opened = weighed(store if isinstance(store, Store) else Store.open(store), weights)
    protocol = task if isinstance(task, Task) else load_task(task)
    chosen = MeasureOptions(dict(options or {}), folder.with_name(f"{folder.name}-jets"))
    protocol.check_options(chosen)
    bound = protocol.bind(opened.schema, where=f"the store {opened.path}")
    subject = open_subject(model_path, arm=arm, device=device, withhold=withhold)
    return _evaluate(subject, bound, opened, folder, chosen)


def measure(
    scorer: NamedScorer,
    task: Task,
    store: Store,
    *,
    output: str | Path,
    baselines: Sequence[FittedAnswer] = (),
) -> Evaluation:
    """Measure anything that scores rows on a task, and write the result directory.

    Parameters
    ----------
    scorer
        Gives class probabilities, or numbers for a task of regression; see `hepfm.tasks.subject.NamedScorer`.
    task, store, output
        As of `evaluate`.
    baselines
        Trivial answers that are measured on the same rows.
    """
    bound = task.bind(store.schema, where=f"the store {store.path}")
    subject = ScorerSubject(scorer, baselines=baselines)
    return _evaluate(subject, bound, store, Path(output), MeasureOptions())


def _evaluate(
    subject: Subject, task: Task, store: Store, output: Path, options: MeasureOptions
) -> Evaluation:
    measured = task.measure(subject, store, options)
    result = result_file(measured, subject=subject, task=task, store=store)
    write_result(output, result, measured.tables)
    return Evaluation(output, result)


def result_file(measured: Measured, *, subject: Subject, task: Task, store: Store) -> ResultFile:
    """Return the result file of what was measured.

    Parameters
    ----------
    measured
        The numbers.
    subject, task, store
        What was measured, by which protocol, on which test rows.
    """
    return ResultFile(
        task=TaskInfo(
            name=task.name,
            version=task.version,
            title=task.title,
            classes=measured.classes,
            options=task.options(),
        ),
        model=ModelInfo(fingerprint=subject.fingerprint, path=subject.path),
        training=validate(Training, subject.training, where=f"provenance of {subject.path}"),
        data=DataInfo(
            fingerprint=store.fingerprint,
            split=task.split,
            rows=measured.rows,
            rows_per_class=dict(measured.rows_per_class),
            weights=store.schema.weight,
            effective_rows=measured.effective_rows,
        ),
        metrics=measured.metrics,
        truth_vs_truth=measured.truth_vs_truth,
        noise=measured.noise,
        baselines=measured.baselines,
        code=CodeInfo(hepfm=hepfm.__version__, commit=code_commit()),
    )


def summary_lines(evaluation: Evaluation) -> list[str]:
    """Return the metrics for people, one a line."""
    result = evaluation.result
    lines = [f"{result.task.title}: {result.data.rows_text}, arm {result.training.arm_name!r}"]
    for metric in result.metrics:
        ends = f"[{_number(metric.low, 'open')}, {_number(metric.high, 'open')}]"
        number = f"  {metric.title:28} {_number(metric.value):>10}  {ends}"
        lines.append(f"{number}  {_beside(result, metric.name)}{metric.interval}")
    return [*lines, f"written to {evaluation.path / RESULTS}"]


def _beside(result: ResultFile, name: str) -> str:
    """Return what must stand beside a number: truth-vs-truth and noise, or what trivial answers score."""
    beside = [("truth-vs-truth baseline", result.truth_line(name)), ("noise", result.noise_line(name))]
    beside += [(baseline.title, baseline.metric(name)) for baseline in result.baselines]
    return "".join(f"{title}: {_number(info.value)}  " for title, info in beside if info is not None)


def _number(value: float | None, missing: str = "none") -> str:
    return missing if value is None else f"{value:.5g}"
