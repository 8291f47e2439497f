"""Tasks that measure a predicted number: any numeric field of any store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import DataError, ModelError
from hepfm.core.schema import Kind, Schema
from hepfm.data.groups import row_groups
from hepfm.data.row_selection import Only, RowSelection, only_words, selected_rows
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.metrics.residuals import mean_absolute, residual_bias, residual_width, root_mean_square
from hepfm.metrics.response import (
    RowStatistic,
    bias,
    relative_iqr,
    response_measurement,
    weights_statistic,
)
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.baselines import fitting_answers
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import PREDICTIONS, PredictedNumbers, predictions_table, read_predictions
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Scorer, Subject
from hepfm.tasks.tagging import JET_OBSERVERS

MIN_ROWS = 20
"""Fewer rows of a group are not measured by themselves."""

Comparison = Literal["difference", "ratio", "log_ratio"]
_RESPONSE: tuple[tuple[str, str, RowStatistic], ...] = (
    ("response_iqr", "relative width of the response", relative_iqr),
    ("response_bias", "|median of the response - 1|", bias),
)
_RESIDUAL: tuple[tuple[str, str, RowStatistic], ...] = (
    ("residual_mae", "mean absolute error", mean_absolute),
    ("residual_rmse", "RMSE", root_mean_square),
    ("residual_bias", "|median of the residual|", residual_bias),
    ("residual_width", "68 % half-width of the residual", residual_width),
)


class RegressionTask(Task):
    """A protocol of regression: the errors of a predicted number, for all rows and for groups of them."""

    label: str
    """The field that is predicted."""
    compare: Comparison
    """Predicted less true, in the unit of the field; predicted over true; or, for a field that is the
    logarithm of a ratio, the exponential of the difference."""
    unit: str = "1"
    only: Sequence[str] | None = None
    """Field and classes of the rows that count; None for all rows."""
    groups: str | None = None
    """A field whose classes are measured by themselves too."""
    group_names: tuple[str, ...] = ()
    angle: bool = False
    """Whether differences are taken modulo a full turn."""
    observers: ClassVar[tuple[str, ...]] = JET_OBSERVERS
    """Fields of the store that are written beside the predictions, where the store has them."""
    row_file = PREDICTIONS

    @property
    def needs(self) -> ModelNeeds:
        """A head that predicts the field."""
        return ModelNeeds(field=self.label)

    @property
    def fields(self) -> tuple[str, ...]:
        """The field that is predicted, and those that say which rows count and what groups there are."""
        names = (*(self.only or ())[:1], self.label, self.groups)
        return tuple(dict.fromkeys(name for name in names if name))

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the metrics of all rows, then those of each group."""
        return tuple(
            metric.of_group(group) for group in ("", *self.group_names) for metric, _ in self._statistics
        )

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the field of the rows that count."""
        only = {"only": list(self.only)} if self.only else {}
        return {"name": "supervised", "label": self.label, **only}

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Predict the test rows and measure the errors, of the model and of the trivial answers."""
        rows = self._rows(store)
        scorer = subject.scorer(self.label, self.objective())
        if scorer.classes:
            raise ModelError(f"{subject.what} predicts classes of {self.label!r}, not a number")
        truth = np.asarray(store.read([self.label], rows)[self.label], np.float64)
        weights, groups = read_weights(store, rows), self._groups(store, rows)
        together = row_groups(store, rows)
        predicted = self._predicted(scorer, store, rows)
        error = self._compared(predicted, truth)
        observers = [name for name in self.observers if name in store.schema and name != self.label]

        def errors(values: FloatArray) -> tuple[MetricInfo, ...]:
            return tuple(self._measured(self._compared(values, truth), weights, groups, together))

        return Measured(
            metrics=tuple(self._measured(error, weights, groups, together)),
            rows=len(rows),
            rows_per_class={name: int((groups == name).sum()) for name in self.group_names},
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=answer.name,
                    title=answer.title,
                    metrics=errors(self._predicted(answer, store, rows)),
                )
                for answer in fitting_answers(subject.baselines(self.label), store)
            ),
            tables={
                PREDICTIONS: predictions_table(
                    PredictedNumbers(rows, truth, predicted, error, groups, weights, together),
                    observers={
                        key: np.asarray(values) for key, values in store.read(observers, rows).items()
                    },
                )
            },
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the predicted rows of a result, of all and of each group."""
        numbers = read_predictions(folder, result)
        weights = np.ones(len(numbers.rows)) if numbers.weights is None else numbers.weights
        names = ("", *dict.fromkeys(name for name in numbers.group.tolist() if name))
        metrics = {
            metric.of_group(name).name: self._of_group(numbers, name, statistic)
            for name in names
            for metric, statistic in self._statistics
        }
        return RowStatistics(numbers.rows, numbers.truth, weights, metrics, numbers.row_groups)

    def _of_group(self, numbers: PredictedNumbers, group: str, statistic: RowStatistic) -> Statistic:
        chosen = numbers.group == group if group else np.ones(len(numbers.rows), bool)
        weights = None if numbers.weights is None else numbers.weights[chosen]
        of_chosen = weights_statistic(numbers.error[chosen], statistic, weights)
        return lambda row_weights: of_chosen(row_weights[chosen])

    @property
    def _statistics(self) -> tuple[tuple[TaskMetric, RowStatistic], ...]:
        """What is measured of all rows, and how."""
        rows = _RESIDUAL if self.compare == "difference" else _RESPONSE
        unit = f" [{self.unit}]" if self.compare == "difference" and self.unit != "1" else ""
        return tuple(
            (TaskMetric(name=name, title=f"{title}{unit}", better="lower"), statistic)
            for name, title, statistic in rows
        )

    def _rows(self, store: Store) -> IntArray:
        rows = selected_rows(store, np.asarray(store.split(self.split), np.int64), self.only)
        if not len(rows):
            of = f" has {only_words(self.only)}" if self.only else f" is in its split {self.split!r}"
            raise DataError(f"no row of {store.path}{of}; the task {self.name!r} needs some")
        return rows

    def _groups(self, store: Store, rows: IntArray) -> FloatArray:
        """Return the name of each row's group."""
        if self.groups is None:
            return np.full(len(rows), "")
        numbers = np.asarray(store.read([self.groups], rows)[self.groups]).astype(np.int64)
        return np.array(store.schema[self.groups].classes)[numbers]

    def _predicted(self, scorer: Scorer, store: Store, rows: IntArray) -> FloatArray:
        values = np.asarray(scorer.score(store, rows), np.float64)
        if values.shape != rows.shape:
            raise ModelError(f"the model gave numbers of shape {values.shape}, expected {rows.shape}")
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise ModelError(f"{bad} of {len(rows)} predictions of {self.label!r} are NaN or infinite")
        return values

    def _compared(self, predicted: FloatArray, truth: FloatArray) -> FloatArray:
        if self.compare == "ratio":
            bad = int((truth <= 0).sum())
            if bad:
                raise DataError(
                    f"{bad} of {len(truth)} true values of {self.label!r} are not above 0: predicted over "
                    "true is not defined; use compare=difference"
                )
            return predicted / truth
        residual = predicted - truth
        if self.angle:
            residual = (residual + np.pi) % (2 * np.pi) - np.pi
        return np.exp(residual) if self.compare == "log_ratio" else residual

    def _measured(
        self,
        errors: FloatArray,
        weights: FloatArray | None,
        groups: FloatArray,
        together: IntArray | None,
    ) -> Iterator[MetricInfo]:
        for group in ("", *self.group_names):
            chosen = groups == group if group else np.ones(len(errors), bool)
            if group and chosen.sum() < MIN_ROWS:
                continue
            chosen_weights, chosen_together = (
                None if values is None else values[chosen] for values in (weights, together)
            )
            for metric, statistic in self._statistics:
                definition = f"{metric.name}.v1"
                measurement = response_measurement(
                    errors[chosen],
                    statistic,
                    definition=definition,
                    weights=chosen_weights,
                    groups=chosen_together,
                )
                yield metric.info(measurement, group)


class RegressionConfig(BaseConfig):
    """Options of `Regression`.

    Attributes
    ----------
    field
        The field that is predicted; the label of the store's schema when null.
    only
        A field and one or more of its classes: other rows do not count.
    groups
        A categorical field whose classes are measured by themselves too.
    compare
        ``"difference"``, predicted less true in the unit of the field; ``"ratio"``, predicted over true, for
        positive fields; ``"log_ratio"``, the exponential of the difference, for a field that is the logarithm
        of a ratio.
    """

    field: str | None = None
    only: Only | None = None
    groups: str | None = None
    compare: Comparison = "difference"


class Regression(RegressionTask):
    """A numeric field of the rows."""

    Config = RegressionConfig
    name = "regression"
    version = 1

    config: RegressionConfig

    def __init__(self, config: RegressionConfig | None = None) -> None:
        super().__init__(config)
        self.label = self.config.field or ""
        self.only, self.groups, self.compare = self.config.only, self.config.groups, self.config.compare
        self.primary = "residual_mae" if self.compare == "difference" else "response_iqr"
        only = f", {only_words(self.only)} only" if self.only else ""
        self.title = f"Regression of {self.label}{only}"

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task with field, unit and groups filled in from the schema."""
        if not self.label and schema.label is None:
            raise DataError(
                f"{where} names no label; say which field is predicted: field=NAME (--field NAME)"
            )
        label = self.label or str(schema.label)
        bound = self.__class__(self.config.model_copy(update={"field": label}))
        super(Regression, bound).bind(schema, where=where)
        bound._fill_in(schema, where)
        return bound

    def _fill_in(self, schema: Schema, where: str) -> None:
        field = schema[self.label]
        if field.kind in (Kind.CATEGORICAL, Kind.FLAG) or field.level is not schema.row:
            raise DataError(
                f"{self.label!r} of {where} is {field.kind} of the {field.level}; the task {self.name!r} "
                "needs a number of the rows"
            )
        self.unit, self.angle = field.unit, field.kind is Kind.ANGLE
        if self.angle and self.compare != "difference":
            raise DataError(f"{self.label!r} of {where} is an angle; use compare=difference")
        if self.only:
            RowSelection.of(self.only, schema, where=where)
        if self.groups:
            self.group_names = schema[self.groups].classes
            if not self.group_names:
                raise DataError(f"groups: {self.groups!r} of {where} has no classes")
