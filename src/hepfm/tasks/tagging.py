"""Tasks that score rows by class: tagging, identification, any classification."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from hepfm.core.errors import DataError, HepfmError, ModelError
from hepfm.core.log import progress
from hepfm.core.ragged import Array
from hepfm.core.schema import Kind, Schema
from hepfm.data.groups import row_groups
from hepfm.data.row_selection import selected_rows
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task
from hepfm.tasks.baselines import fitting_answers
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import SCORES, read_scores, scores_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Answer, Scorer, Subject
from hepfm.tasks.tagging_metrics import ScoreMetric

JET_OBSERVERS = ("jet_pt", "jet_eta", "jet_softdrop_mass")


class TaggingTask(Task):
    """A protocol whose metrics are functions of `Predictions`.

    Classes are matched by name: models and stores may have them in any order.
    """

    label: str = "jet_label"
    """Field of the store that holds the true class."""
    classes: tuple[str, ...]
    """Names of the classes in the order of result files."""
    ignored: tuple[str, ...] = ()
    """Classes of the label that are not the task's: their rows are left out; models may know them."""
    background: str
    """The class that ROC curves are drawn against."""
    only: Sequence[str] | None = None
    """Field and classes of the rows that count; None for all rows."""
    observers: ClassVar[tuple[str, ...]] = JET_OBSERVERS
    """Fields of the store that are written beside the scores, where the store has them."""
    row_file = SCORES

    @abstractmethod
    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return the metrics in the order of tables."""

    @property
    def needs(self) -> ModelNeeds:
        """A head that predicts the label."""
        return ModelNeeds(field=self.label)

    @property
    def fields(self) -> tuple[str, ...]:
        """The label, and the field that says which rows count."""
        return tuple(dict.fromkeys((self.label, *(self.only or ())[:1])))

    @property
    def signals(self) -> tuple[str, ...]:
        """All classes but the background."""
        return tuple(name for name in self.classes if name != self.background)

    @property
    def roc_pairs(self) -> tuple[tuple[str, str], ...]:
        """Every signal against the background."""
        return tuple((signal, self.background) for signal in self.signals)

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the scored rows of a result."""
        predictions, rows = read_scores(folder, result)
        statistics, weights = self.statistics(predictions), predictions.row_weights
        return RowStatistics(rows, predictions.labels, weights, statistics, predictions.groups)

    def statistics(self, predictions: Predictions) -> dict[str, Statistic]:
        """Return the metrics as functions of row weights."""
        return {metric.name: metric.statistic(predictions) for metric in self.metrics()}

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the label of the rows that count."""
        only = {"only": list(self.only)} if self.only else {}
        return {"name": "supervised", "label": self.label, **only}

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task; raise `DataError` unless the store has its classes, in any order."""
        bound = super().bind(schema, where=where)
        field = schema[bound.label]
        if field.kind is not Kind.CATEGORICAL:
            raise DataError(
                f"{bound.label!r} of {where} is {field.kind}; the task {self.name!r} needs classes"
            )
        bound._check_classes(field.classes, DataError, where, "choose another task or store")
        return bound

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Score the test rows and measure every metric, of the model and of the trivial answers."""
        scorer = self._scorer(subject, store)
        rows = self._rows(store)
        observers, weights = self._observed(store, rows), read_weights(store, rows)
        predictions = self._predictions(scorer, store, rows, weights)
        return Measured(
            metrics=self._measure(predictions, observers),
            rows=len(rows),
            rows_per_class={
                name: int((predictions.labels == index).sum()) for index, name in enumerate(self.classes)
            },
            classes=self.classes,
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=answer.name,
                    title=answer.title,
                    metrics=self._measure(self._predictions(answer, store, rows, weights), observers),
                )
                for answer in self._answers(subject, store)
            ),
            tables={SCORES: scores_table(predictions, rows=rows, observers=observers)},
        )

    def _scorer(self, subject: Subject, store: Store) -> Scorer:
        """Return what gives the class probabilities of test rows."""
        scorer = subject.scorer(self.label, self.objective())
        fix = "fine-tune it to the task first"
        self._check_classes(scorer.classes, ModelError, subject.what, fix)
        return scorer

    def _answers(self, subject: Subject, store: Store) -> Sequence[Answer]:
        """Return the trivial answers that are measured beside it."""
        return fitting_answers(subject.baselines(self.label), store)

    def _observed(self, store: Store, rows: IntArray) -> dict[str, Array]:
        """Return the columns that are written beside the scores."""
        names = [name for name in self.observers if name in store.schema]
        return {name: np.asarray(values) for name, values in store.read(names, rows).items()}

    def _rows(self, store: Store) -> IntArray:
        """Return the rows of the test split that count and whose class is one of the task's."""
        rows = selected_rows(store, np.asarray(store.split(self.split), np.int64), self.only)
        kept = self._labels(store, rows) >= 0
        if len(rows) and not kept.any():
            raise DataError(f"no row of {store.path} has a class of the task {self.name!r}")
        return rows[kept]

    def _labels(self, store: Store, rows: IntArray) -> IntArray:
        """Return the true class of rows as an index into `classes`; -1 for classes that are left out."""
        names = store.schema[self.label].classes
        index = [self.classes.index(name) if name in self.classes else -1 for name in names]
        labels = np.asarray(store.read([self.label], rows)[self.label]).astype(np.int64)
        return np.array(index, np.int64)[labels]

    def _predictions(
        self, scorer: Scorer, store: Store, rows: IntArray, weights: FloatArray | None
    ) -> Predictions:
        labels, groups = self._labels(store, rows), row_groups(store, rows)
        return Predictions(labels, self._scores(scorer, store, rows), self.classes, weights, groups)

    def _scores(self, scorer: Scorer, store: Store, rows: IntArray) -> FloatArray:
        """Return class probabilities in the order of the task's classes, normalised to them."""
        scores = np.asarray(scorer.score(store, rows), np.float64)
        expected = len(rows), len(scorer.classes)
        if scores.shape != expected:
            raise ModelError(f"the model gave scores of shape {scores.shape}, expected {expected}")
        kept = scores[:, [scorer.classes.index(name) for name in self.classes]]
        if not self.ignored and len(scorer.classes) == len(self.classes):
            return kept
        return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-300)

    def _measure(self, predictions: Predictions, observers: Mapping[str, Array]) -> tuple[MetricInfo, ...]:
        """Measure every metric of scored rows; `observers` are the columns beside the scores."""
        infos = []
        metrics = self.metrics()
        with progress(f"metrics of {self.name}", len(metrics)) as advance:
            for metric in metrics:
                infos.append(metric.info(metric.measure(predictions)))
                advance(1, metric.name)
        return tuple(infos)

    def _check_classes(self, available: Sequence[str], error: type[HepfmError], what: str, fix: str) -> None:
        if set(available) - set(self.ignored) == set(self.classes):
            return
        raise error(
            f"{what} has the classes {', '.join(available) or 'none'}; "
            f"the task {self.name!r} needs {', '.join(self.classes)}; {fix}"
        )
