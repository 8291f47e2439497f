"""Evaluate a regression: the response of a model's predictions on the test rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import hepfm
from hepfm.core.config import validate
from hepfm.core.errors import DataError, ModelError
from hepfm.core.files import read_json
from hepfm.core.provenance import code_commit
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.response import bias, relative_iqr, response_measurement
from hepfm.models.directory import Model
from hepfm.models.folder import CONFIG
from hepfm.tasks.baselines import trivial_answers
from hepfm.tasks.measured import Measured
from hepfm.tasks.regression import RegressionTask
from hepfm.tasks.result import (
    Baseline,
    CodeInfo,
    DataInfo,
    MetricInfo,
    ModelInfo,
    ResultFile,
    TaskInfo,
    Training,
    result_folder,
)
from hepfm.tasks.scorer import training_facts
from hepfm.train.distributed import pick_device

LEAST_ROWS = 20
"""Fewer rows of a group are not measured by themselves."""


def evaluate_regression(
    path: Path, task: RegressionTask, store: Store, *, output: Path, arm: str = "", device: str = "cpu"
) -> ResultFile:
    """Measure the response of a model on the test rows and write ``results.json``.

    Raises
    ------
    DataError
        When the store lacks a field or a row of the class that counts.
    ModelError
        When the model does not predict the task's label.
    """
    field, name = task.only
    for one in (field, task.label, task.groups):
        if one not in store.schema:
            raise DataError(f"{store.path} has no field {one!r}; the task {task.name!r} needs it")
    rows = np.asarray(store.split(task.split), np.int64)
    columns = {key: np.asarray(values) for key, values in store.read([field, task.groups], rows).items()}
    classes = store.schema[field].classes
    if name not in classes:
        raise DataError(f"{field!r} of {store.path} has no class {name!r}; it has {', '.join(classes)}")
    kept = columns[field] == classes.index(name)
    rows, groups = rows[kept], columns[task.groups][kept]
    if not len(rows):
        raise DataError(f"no row of {store.path} has {field} = {name}; the task {task.name!r} needs some")
    model = Model.load(path)
    if task.label not in model.outputs or task.label in model.classes:
        raise ModelError(
            f"the model at {path} predicts {', '.join(model.outputs) or 'nothing'}, not {task.label!r}; "
            "fine-tune it to the task first"
        )
    predicted = model.predict(store, rows=rows, device=str(pick_device(device)))[task.label]
    truth = np.asarray(store.read([task.label], rows)[task.label], np.float64)
    weights = read_weights(store, rows)
    answers = trivial_answers(model.provenance, task.label)
    names = np.array(store.schema[task.groups].classes)[groups.astype(np.int64)]
    found = {one: int((names == one).sum()) for one in task.group_names}

    def measured(values: FloatArray) -> tuple[MetricInfo, ...]:
        return tuple(_measured(np.exp(values - truth), weights, names, task))

    facts = {**training_facts(model.provenance), "backbone": model.backbone.name, "arm": arm}
    result = ResultFile(
        task=TaskInfo(name=task.name, version=task.version, title=task.title, classes=()),
        model=ModelInfo(fingerprint=str(read_json(path / CONFIG, ModelError)["fingerprint"]), path=str(path)),
        training=validate(Training, facts, where=f"provenance of {path}"),
        data=DataInfo(
            fingerprint=store.fingerprint,
            split=task.split,
            rows=len(rows),
            rows_per_class=found,
            weights=store.schema.weight,
            effective_rows=effective_rows(weights),
        ),
        metrics=measured(np.asarray(predicted, np.float64)),
        baselines=tuple(
            Baseline(name=one.name, title=one.title, metrics=measured(one.predict(store, rows)))
            for one in answers
        ),
        code=CodeInfo(hepfm=hepfm.__version__, commit=code_commit()),
    )
    with result_folder(output, result):
        pass
    return result


def _measured(
    response: FloatArray, weights: FloatArray | None, names: FloatArray, task: RegressionTask
) -> Iterator[MetricInfo]:
    groups = [("", np.ones(len(names), bool)), *((one, names == one) for one in task.group_names)]
    for group, chosen in groups:
        if group and chosen.sum() < LEAST_ROWS:
            continue
        values, own = response[chosen], None if weights is None else weights[chosen]
        for key, title, statistic in (
            ("response_iqr", "relative width of the response", relative_iqr),
            ("response_bias", "|median of the response - 1|", bias),
        ):
            found = response_measurement(values, statistic, definition=f"{key}.v1", weights=own)
            yield Measured(key, title, found).info(group)
