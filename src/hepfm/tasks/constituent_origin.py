"""What the constituents of jets come from: primary vertex, heavy hadrons, taus, strange hadrons (after
2409.12589)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from hepfm.core.errors import DataError, ModelError
from hepfm.core.ragged import Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.schemas.jets import NO_VERTEX, ORIGIN_CLASSES
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.constituents import (
    ConstituentPredictions,
    OfConstituents,
    balanced_accuracy,
    constituent_accuracy,
    constituent_auc,
    measured_on_jets,
)
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.constituent_tables import CONSTITUENTS, constituents_table, read_constituents
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Scorer, Subject
from hepfm.tasks.tagging import JET_OBSERVERS

VERTEX = "part_vertex"


@dataclass(frozen=True, kw_only=True)
class ConstituentMetric(TaskMetric):
    """A metric of classes of constituents.

    Attributes
    ----------
    statistic
        Predictions to a function of the weights of jets.
    definition
        Identifier of its definition.
    """

    statistic: OfConstituents
    definition: str


class ConstituentOrigin(Task):
    """The origin of every constituent that the model reads; jets are resampled for the intervals."""

    name = "constituent_origin"
    version = 1
    title = "Origin of constituents"
    primary = "balanced_accuracy"
    row_file = CONSTITUENTS
    label: ClassVar[str] = "part_origin"
    classes: ClassVar[tuple[str, ...]] = ORIGIN_CLASSES
    tracks_only: ClassVar[bool] = False
    """Whether constituents without a track do not count."""

    @property
    def needs(self) -> ModelNeeds:
        """A head that predicts the origin of each constituent."""
        return ModelNeeds(field=self.label)

    @property
    def fields(self) -> tuple[str, ...]:
        """The origin, and what says which constituents have a track."""
        return (self.label, VERTEX) if self.tracks_only else (self.label,)

    def metrics(self) -> tuple[ConstituentMetric, ...]:
        """Return accuracy, balanced accuracy, and the area of each class against the rest."""
        auc = "auc.one_vs_rest.constituents.v1"
        return (
            ConstituentMetric(
                name="balanced_accuracy",
                title="balanced accuracy",
                statistic=balanced_accuracy,
                definition="balanced_accuracy.constituents.v1",
            ),
            ConstituentMetric(
                name="accuracy",
                title="accuracy",
                statistic=constituent_accuracy,
                definition="accuracy.constituents.v1",
            ),
            *(
                ConstituentMetric(
                    name=f"auc_{name}",
                    title=f"AUC of {name} (one vs rest)",
                    statistic=partial(constituent_auc, name=name),
                    definition=auc,
                )
                for name in self.classes
            ),
        )

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the origin of constituents."""
        return {"name": "supervised", "label": self.label}

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task; raise `DataError` unless the store has these classes, in any order."""
        bound = super().bind(schema, where=where)
        if not schema.is_ragged(self.label) or set(schema[self.label].classes) != set(self.classes):
            raise DataError(
                f"{self.label!r} of {where} has the classes {', '.join(schema[self.label].classes) or 'none'}"
                f"; the task {self.name!r} needs {', '.join(self.classes)} for each constituent"
            )
        return bound

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Score the constituents of the test rows, and measure the model and the trivial answers."""
        scorer = subject.scorer(self.label, self.objective())
        if set(scorer.classes) != set(self.classes):
            raise ModelError(
                f"{subject.what} has the classes {', '.join(scorer.classes) or 'none'} of {self.label!r}; "
                f"the task {self.name!r} needs {', '.join(self.classes)}; fine-tune it to the task first"
            )
        rows = np.asarray(store.split(self.split), np.int64)
        weights = read_weights(store, rows)
        scores = _scores(scorer, store, rows)
        predictions = self._predictions(scorer, scores, store, rows, weights)
        counts = np.bincount(predictions.labels.values, minlength=len(self.classes))
        observers = [name for name in JET_OBSERVERS if name in store.schema]
        return Measured(
            metrics=self._measure(predictions),
            rows=len(rows),
            rows_per_class={
                f"constituents: {name}": int(n) for name, n in zip(self.classes, counts, strict=True)
            },
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=answer.name,
                    title=answer.title,
                    metrics=self._measure(
                        self._predictions(
                            answer,
                            leading(_scores(answer, store, rows), scores.lengths),
                            store,
                            rows,
                            weights,
                        )
                    ),
                )
                for answer in subject.baselines(self.label)
            ),
            tables={
                CONSTITUENTS: constituents_table(
                    predictions,
                    rows=rows,
                    observers={k: np.asarray(v) for k, v in store.read(observers, rows).items()},
                )
            },
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the scored jets of a result."""
        predictions, rows = read_constituents(folder, result, self.classes)
        labels = predictions.labels
        truth = np.bincount(labels.row_index(), labels.values + 1.0, minlength=len(labels))
        metrics = {metric.name: metric.statistic(predictions) for metric in self.metrics()}
        return RowStatistics(rows, truth, predictions.row_weights, metrics, predictions.groups)

    def _predictions(
        self, scorer: Scorer, scores: Ragged, store: Store, rows: IntArray, weights: FloatArray | None
    ) -> ConstituentPredictions:
        """Return true and predicted classes in the task's order, of the constituents that count."""
        columns = store.read(self.fields, rows)
        labels = leading(lists(columns, self.label), scores.lengths)
        number = np.array([self.classes.index(name) for name in store.schema[self.label].classes], np.int64)
        labels = labels.with_values(number[labels.values.astype(np.int64)])
        order = [scorer.classes.index(name) for name in self.classes]
        scores = scores.with_values(scores.values[:, order])
        if self.tracks_only:
            tracks = leading(lists(columns, VERTEX), scores.lengths).values != NO_VERTEX
            labels, scores = labels.keep(tracks), scores.keep(tracks)
        if not len(labels.values):
            raise DataError(f"no constituent of a test row of {store.path} counts in the task {self.name!r}")
        return ConstituentPredictions(labels, scores, self.classes, weights, row_groups(store, rows))

    def _measure(self, predictions: ConstituentPredictions) -> tuple[MetricInfo, ...]:
        return tuple(
            metric.info(
                measured_on_jets(metric.statistic(predictions), predictions, definition=metric.definition)
            )
            for metric in self.metrics()
        )


def leading(values: Ragged, lengths: IntArray) -> Ragged:
    """Return the first entries of each row, as many as given; raise `DataError` for rows with fewer."""
    if len(values) != len(lengths) or (values.lengths < lengths).any():
        raise DataError("scores are given for more constituents than the rows have")
    place = np.arange(len(values.values)) - np.repeat(values.offsets[:-1], values.lengths)
    return values.keep(place < np.repeat(lengths, values.lengths))


def _scores(scorer: Scorer, store: Store, rows: IntArray) -> Ragged:
    scores = scorer.score(store, rows)
    if not isinstance(scores, Ragged) or scores.values.shape[1:] != (len(scorer.classes),):
        raise ModelError("the model gives no class probabilities of constituents")
    return scores
