"""The laws of a task that scores rows, on a store of yours; see `hepfm.tasks.base.Task`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError, HepfmError, ModelError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Kind, Schema
from hepfm.data import feature_set
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.heads import HEADS
from hepfm.metrics.definitions import definition_of
from hepfm.metrics.predictions import IntArray
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec
from hepfm.tasks.base import Task, load_task
from hepfm.tasks.evaluate import evaluate, measure
from hepfm.tasks.result import MetricInfo, ResultFile
from hepfm.tasks.result_folder import read_result
from hepfm.tasks.row_statistics import SAME
from hepfm.testing.laws import hold

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 4}
BLUR = 1.5
"""Spread of the noise on scores that stand for a good model: right more often than not, never always."""


@dataclass(frozen=True)
class TaskCase:
    """A task that scores rows, a store that it can measure on, and a folder for results.

    Attributes
    ----------
    spec
        Name of the task, or a mapping with ``name`` and options.
    store
        Rows of its field, some dozens of each class or more, in the split of the task.
    folder
        An empty folder.
    features
        Feature set that an untrained model reads of the store.
    """

    spec: str | Mapping[str, Any]
    store: Store
    folder: Path
    features: str = "kin"

    @property
    def task(self) -> Task:
        """The task, not bound."""
        return load_task(self.spec)

    @property
    def bound(self) -> Task:
        """The task, bound to the store."""
        return self.task.bind(self.store.schema, where="the store")

    @property
    def field(self) -> str:
        """The field that is predicted."""
        name = self.bound.needs.field
        assert name is not None, "check_task is for tasks that score rows: needs.field names none"
        return name

    def measured(self, name: str, *, blur: float = BLUR, store: Store | None = None) -> ResultFile:
        """Return the result of scores that are the truth, blurred."""
        store = store or self.store
        column = store.read([self.field])[self.field]
        whole = isinstance(column, Ragged) or bool(store.schema[self.field].classes)
        scale = 1.0 if whole else float(np.asarray(column).std())
        scorer = Truth(store, self.field, blur=blur * scale)
        return measure(scorer, self.task, store, output=self.folder / name).result


_HEADS = {
    (False, True): "classify",
    (False, False): "regress",
    (True, True): "classify_constituents",
    (True, False): "pairs",
}
"""Head of a field, by whether it holds lists, and whether it has classes."""


class Truth:
    """Knows the truth of each row, blurred by numbers that are made of the row itself.

    Its classes are those of the store in the opposite order, so that nothing is right by position.
    """

    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "truth"}

    def __init__(self, store: Store, field: str, *, blur: float = 0.0) -> None:
        self.field, self.blur = field, blur
        self.classes = tuple(reversed(store.schema[field].classes))

    def score(self, store: Store, rows: IntArray) -> Any:
        """Return class probabilities, numbers, or lists of probabilities or of numbers of vertices."""
        column = store.read([self.field], rows)[self.field]
        numbers = row_numbers(store, rows)
        if isinstance(column, Ragged):
            place = np.arange(len(column.values)) - np.repeat(column.offsets[:-1], column.lengths)
            numbers = numbers[column.row_index()] * (2 + place)
            return column.with_values(self._said(column.values, numbers, whole=True))
        return self._said(np.asarray(column), numbers, whole=False)

    def _said(self, truth: Array, numbers: Array, *, whole: bool) -> Array:
        noise = np.sin(1e3 * numbers[:, None] * (1 + np.arange(max(len(self.classes), 1))))
        if not self.classes and whole:
            return np.where(noise[:, 0] > 1 - self.blur / 4, truth + 1, truth)
        if not self.classes:
            truth = truth.astype(np.float64)
            blurred: Array = truth + self.blur * noise[:, 0]
            return blurred
        column = len(self.classes) - 1 - truth.astype(int)
        p = np.exp(8 * np.eye(len(self.classes))[column] + 8 * self.blur * noise)
        probabilities: Array = p / p.sum(1, keepdims=True)
        return probabilities


def row_numbers(store: Store, rows: IntArray) -> Array:
    """Return a number of each row that does not depend on its place in the store."""
    fields = [field for field in store.schema if not store.schema.is_ragged(field.name)]
    name = next((field.name for field in fields if field.dtype.startswith("float")), fields[0].name)
    return np.asarray(store.read([name], rows)[name], np.float64)


def what_it_says_beforehand_agrees(case: TaskCase) -> None:
    """Name, version, metrics, headline, fields and objective agree with one another."""
    task = case.bound
    names = [metric.name for metric in task.metrics()]
    assert task.name == load_task(case.spec).name
    assert task.version >= 1, f"version {task.version}"
    assert len(names) == len(set(names)) > 0, f"metrics {names}"
    assert all(metric.title for metric in task.metrics()), "a metric has no title"
    assert task.primary in names, f"primary is {task.primary!r}, the metrics are {names}"
    assert task.split == "test", "results on rows that models may have seen"
    assert task.needs.field in task.fields, f"fields {task.fields} lack {task.needs.field!r}"
    objective = task.objective()
    assert objective is not None, "objective() tells nobody how to train for the task"
    assert objective["label"] == task.needs.field, f"the objective learns {objective['label']!r}"


def a_store_without_its_field_is_refused(case: TaskCase) -> None:
    """`bind` raises `DataError` for a store that lacks what the task reads."""
    refused(lambda: case.task.bind(Schema(()), where="an empty store"), DataError)


def an_untrained_model_is_measured_and_the_result_reads_back(case: TaskCase) -> None:
    """All that was measured was announced, with its title, scale and direction; tables have every row."""
    model = save_scoring_model(case.store, case.field, case.folder / "model", features=case.features)
    folder = case.folder / "result"
    evaluation = evaluate(model, case.spec, case.store, output=folder, device="cpu")
    result, task = read_result(folder), case.bound
    assert result == evaluation.result, "the file holds other values than were measured"
    check_agreement(task, result)
    assert 0 < result.data.rows <= len(case.store.split(task.split)), f"{result.data.rows} rows"
    for path in folder.glob("*.arrow"):
        with pa.memory_map(str(path)) as file:
            rows = pa.ipc.open_file(file).read_all().num_rows
        assert rows == result.data.rows, f"{path.name} has {rows} rows, the result {result.data.rows}"
    if result.task.classes:
        check_statistics(task, result, folder)


def order_of_rows_changes_no_value(case: TaskCase) -> None:
    """The same rows in another order give the same values."""
    schema, rows = case.store.schema, np.asarray(case.store.split(case.task.split))
    order = np.random.default_rng(3).permutation(rows)
    path = case.folder / "permuted"
    columns = case.store.read(schema.names(), order)
    write_store(path, schema, [(case.task.split, columns)], provenance={"source": "check_task"})
    first, second = case.measured("first"), case.measured("second", store=Store.open(path))
    assert first.data.rows_per_class == second.data.rows_per_class
    for info in first.metrics:
        other = second.metric(info.name).value
        same = other == info.value or np.isclose(other or 0.0, info.value or 0.0, rtol=1e-9, atol=0)
        assert same, f"{info.name} is {info.value}, in another order {other}"


def copies_in_one_group_narrow_no_interval(case: TaskCase) -> None:
    """Rows twice, both copies in one group, leave every interval as it is: resamples draw whole groups."""
    alone, copied = (case.measured(str(count), store=_copies(case, count)) for count in (1, 2))
    for info in alone.metrics:
        width, other = (_width(one) for one in (info, copied.metric(info.name)))
        # Not exactly: quantiles interpolate between other rows. Single rows would make it 1.4 times smaller.
        assert np.isclose(width, other, rtol=0.2, equal_nan=True), (
            f"the interval of {info.name} is {width:g} wide, with copies of rows in groups {other:g}"
        )
    statistics = case.bound.row_statistics(case.folder / "2", copied)
    groups = None if statistics is None else statistics.groups
    assert statistics is None or groups is not None, "row_statistics has no groups, the store has"
    assert groups is None or len(set(groups.tolist())) == len(groups) / 2, "row_statistics has other groups"


def _width(info: MetricInfo) -> float:
    """Return the width of an interval; NaN where an end is missing."""
    return float("nan") if info.low is None or info.high is None else info.high - info.low


def _copies(case: TaskCase, count: int) -> Store:
    """Write the test rows as often as asked, copies in groups."""
    schema, split = case.store.schema, case.task.split
    rows = np.repeat(np.asarray(case.store.split(split)), count)
    group = Field("check_task_group", schema.row, Kind.COUNT, dtype="int64", description="copies of one row")
    grouped = replace(schema, fields=(*schema.fields, group), group=group.name)
    columns = {**case.store.read(schema.names(), rows), group.name: rows}
    path = case.folder / f"copies_{count}"
    return Store.open(write_store(path, grouped, [(split, columns)], provenance={"source": "check_task"}))


def the_better_model_has_the_better_headline(case: TaskCase) -> None:
    """Scores nearer to the truth win, in the direction that the headline says."""
    task = case.bound
    good, bad = (case.measured(str(blur), blur=blur).metric(task.primary).value for blur in (BLUR, 6.0))
    assert good is not None, f"{task.primary} of a good model is undefined"
    assert bad is not None, f"{task.primary} of a bad model is undefined"
    text = f"{task.primary} ({task.headline.better} is better): {good} of a good model, {bad} of a bad one"
    assert good != bad, text
    assert (good > bad) is (task.headline.better == "higher"), text


def rows_are_the_same_for_all_models(case: TaskCase) -> None:
    """What reports compare before they pair rows does not depend on what a model says."""
    results = [case.measured(f"rows-{blur}", blur=blur) for blur in (BLUR, 6.0)]
    check_same_rows(case.bound, *(case.folder / f"rows-{blur}" for blur in (BLUR, 6.0)))
    assert results[0].data == results[1].data


def what_predicts_nothing_is_refused(case: TaskCase) -> None:
    """A store of rows in place of a model raises `ModelError`, and no result appears."""
    folder = case.folder / "refused"
    refused(
        lambda: evaluate(case.store.path, case.spec, case.store, output=folder, device="cpu"),
        ModelError,
    )
    assert not folder.exists(), "a refused subject leaves a result behind"


LAWS = (
    what_it_says_beforehand_agrees,
    a_store_without_its_field_is_refused,
    an_untrained_model_is_measured_and_the_result_reads_back,
    order_of_rows_changes_no_value,
    copies_in_one_group_narrow_no_interval,
    the_better_model_has_the_better_headline,
    rows_are_the_same_for_all_models,
    what_predicts_nothing_is_refused,
)


def check_task(spec: str | Mapping[str, Any], store: str | Path | Store, *, features: str = "kin") -> None:
    """Hold a task that scores rows to its contract.

    Parameters
    ----------
    spec
        Its name in the registry, or a mapping with ``name`` and options.
    store
        Rows that it can measure on, some dozens of each class or more, in the split ``test``.
    features
        Feature set that an untrained model reads of the store.

    Raises
    ------
    AssertionError
        With every law that does not hold.
    """
    opened = store if isinstance(store, Store) else Store.open(store)
    with tempfile.TemporaryDirectory() as folder:
        case = TaskCase(spec, opened, Path(folder), features)
        hold(LAWS, case, what=f"the task {spec!r}")


def check_agreement(task: Task, result: ResultFile) -> None:
    """Raise unless everything that was measured was announced, and the result names the same task."""
    assert (result.task.name, result.task.version) == (task.name, task.version)
    again = load_task(result.task.spec)
    assert again.options() == result.task.options, f"options {again.options()}, not {result.task.options}"
    assert again.title == result.task.title, f"title {again.title!r}, not {result.task.title!r}"
    for info in (*result.metrics, *result.truth_vs_truth, *result.noise):
        announced = task.metric(info.name)
        expected = announced.title, announced.scale, announced.better
        assert (info.title, info.scale, info.better) == expected, f"{info.name} was announced as {expected}"
        explained = info.explanation or definition_of(info.definition)
        assert explained, f"reports cannot say what {info.name} is: its TaskMetric has no explanation"
    headline = result.metric(again.primary)
    assert not headline.detail, "reports leave out the headline: detail is set"
    assert headline.better == again.headline.better


def check_statistics(task: Task, result: ResultFile, folder: Path) -> None:
    """Raise unless metrics as functions of row weights, for paired comparisons, give the result's values."""
    statistics = task.row_statistics(folder, result)
    if statistics is None:
        return
    counts = {len(statistics.rows), len(statistics.truth), len(statistics.weights), result.data.rows}
    assert len(counts) == 1, f"rows, truth, weights and the result differ in length: {counts}"
    assert statistics.rows.tolist() == sorted(statistics.rows), "rows are not in the order of the store"
    measured = {info.name: info for info in result.metrics}
    unknown = set(statistics.metrics) - set(measured)
    assert not unknown, (
        f"statistics are named as metrics are; no metric is called {', '.join(sorted(unknown))}"
    )
    for info in (measured[name] for name in statistics.metrics):
        again = np.nan_to_num(statistics.metrics[info.name](statistics.weights), posinf=0.0)
        value = info.value or 0.0
        assert np.isclose(again, value, rtol=1e-4), f"statistic {info.name} is {again}, the metric {value}"


def check_same_rows(task: Task, first: Path, second: Path) -> None:
    """Raise unless two results say the same of the test rows themselves, whatever the models say of them."""
    ours, theirs = (task.row_statistics(folder, read_result(folder)) for folder in (first, second))
    assert (ours is None) is (theirs is None) is (task.row_file is None), "row_file and row_statistics"
    if ours is None or theirs is None:
        return
    for name in SAME:
        same = np.array_equal(getattr(ours, name), getattr(theirs, name))
        assert same, f"{name} of row_statistics depends on the model: reports could not pair the rows"


def save_scoring_model(store: Store, field: str, path: Path, *, features: str = "kin") -> Path:
    """Write an untrained model with a head for a field."""
    backbone = resolve_component(BACKBONES, TINY, where="check_task")
    head = _HEADS[store.schema.is_ragged(field), bool(store.schema[field].classes)]
    output = HeadSpec(resolve_component(HEADS, head, where="check_task"), store.schema[field])
    inputs = feature_set(features)
    with seeded_init(0, "test"):
        network = build_network(backbone, inputs, heads=[output])
    Model(network, backbone, inputs, store.schema).save(path)
    return path


def refused(call: Callable[[], Any], error: type[HepfmError]) -> None:
    """Raise unless a call raises an error."""
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error.__name__} was raised")
