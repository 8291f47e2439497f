"""A classifier at one mass hypothesis after the other: signal of that mass against all background.

Every row is scored as if its mass parameter were the hypothesis. A network that reads the parameter in its
context is a function of the mass (1601.07913); one that does not gives the same score at each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.log import progress
from hepfm.core.ragged import Array
from hepfm.core.schema import Kind, Schema
from hepfm.data.groups import row_groups
from hepfm.data.hypothesis import Hypothesis
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.auc import BINARY_DEFINITION, binary_auc_statistic
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values, finite, percentile_interval
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.tasks.base import MeasureOptions, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import read_columns, rows_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.sides import SidesConfig, SignalTask
from hepfm.tasks.subject import Scorer, Subject

SCAN = "scan.arrow"
"""Table of the scores at all hypotheses."""

MEAN = "mean_auc"
MEAN_DEFINITION = "auc.mean_over_masses.v1"


class MassScanConfig(SidesConfig):
    """Options of `MassScan`, beside those of `SidesConfig`.

    Attributes
    ----------
    masses
        The hypotheses, in the unit of the parameter; at least one.
    parameter
        The field of the rows that holds the parameter of the signal's simulation.
    """

    masses: tuple[float, ...] = ()
    parameter: str = "event_resonance_mass"

    @pydantic.field_validator("masses")
    @classmethod
    def _once(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) < len(values):
            raise ValueError("masses names one twice")
        return values


class MassScan(SignalTask):
    """The AUC at each mass, and its mean over the masses."""

    Config = MassScanConfig
    name = "mass_scan"
    version = 1
    primary = MEAN
    row_file = SCAN
    heading = "Mass scan of"
    observers: ClassVar[tuple[str, ...]] = ()

    config: MassScanConfig

    @property
    def fields(self) -> tuple[str, ...]:
        """The label, the parameter, and the field that says which rows count."""
        return tuple(dict.fromkeys((*super().fields, self.config.parameter)))

    def metrics(self) -> tuple[TaskMetric, ...]:  # type: ignore[override]
        """Return the mean and the AUC at each mass."""
        each = (TaskMetric(name=_auc(mass), title=f"AUC at {mass:g}") for mass in self.config.masses)
        return (TaskMetric(name=MEAN, title="AUC, mean over the masses"), *each)

    def _check_fields(self, schema: Schema, where: str) -> None:
        super()._check_fields(schema, where)
        if not self.config.masses:
            raise ConfigError(
                f"the task {self.name!r} measures at the masses that are named: masses=[500, 1000] "
                "(--masses 500,1000)"
            )
        field = schema[self.config.parameter]
        if field.level is not schema.row or field.kind is not Kind.CONTINUOUS:
            raise DataError(
                f"{field.name!r} of {where} is {field.kind} of the {field.level}; a parameter is one "
                f"number of each {schema.row}"
            )

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Score the test rows under every hypothesis and measure, of the model and of the row baseline."""
        scorer, rows = self._scorer(subject, store), self._rows(store)
        weights = read_weights(store, rows)
        columns = self._scan(scorer, store, rows)
        answers = self._answers(subject, store)
        labels = self._labels(store, rows)
        return Measured(
            metrics=self._measured(columns, weights),
            rows=len(rows),
            rows_per_class={name: int((labels == index).sum()) for index, name in enumerate(self.classes)},
            classes=self.classes,
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=answer.name,
                    title=answer.title,
                    metrics=self._measured(self._scan(answer, store, rows), weights),
                )
                for answer in answers
            ),
            tables={SCAN: rows_table(rows, {**columns, **({} if weights is None else {"weight": weights})})},
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the scored rows of a result."""
        columns = read_columns(folder, SCAN, result)
        weights = columns.get("weight", np.ones(len(columns["row"])))
        rows, groups = columns["row"].astype(np.int64), columns.get("row_group")
        return RowStatistics(rows, columns["label"], weights, self._statistics(columns), groups)

    def _scan(self, scorer: Scorer, store: Store, rows: IntArray) -> dict[str, Array]:
        """Return label, own mass, group and ln(p_S/p_B) under each hypothesis of all rows."""
        labels, groups = self._labels(store, rows), row_groups(store, rows)
        columns: dict[str, Array] = {
            "label": labels,
            "mass": np.asarray(store.read([self.config.parameter], rows)[self.config.parameter]),
            **({} if groups is None else {"row_group": groups}),
        }
        with progress(f"masses of {self.name}", len(self.config.masses)) as advance:
            for mass in self.config.masses:
                assumed = Hypothesis(store, {self.config.parameter: mass})
                scores = self._scores(scorer, assumed, rows)  # type: ignore[arg-type]
                predictions, signal, background = self.sides(Predictions(labels, scores, self.classes))
                columns[_ratio(mass)] = predictions.log_ratio(signal, background)
                advance(1, f"{mass:g}")
        return columns

    def _statistics(self, columns: Mapping[str, Array]) -> dict[str, Statistic]:
        each = {_auc(mass): self._statistic(columns, mass) for mass in self.config.masses}

        def mean(weights: FloatArray) -> float:
            return float(np.mean([statistic(weights) for statistic in each.values()]))

        return {MEAN: mean, **each}

    def _statistic(self, columns: Mapping[str, Array], mass: float) -> Statistic:
        """Return the AUC of the signal of one mass against all background, as a function of row weights."""
        is_signal = columns["label"] >= len(self.config.background)
        counted = np.flatnonzero(~is_signal | np.isclose(columns["mass"], mass))
        if not is_signal[counted].any():
            known = ", ".join(f"{value:g}" for value in np.unique(columns["mass"][is_signal]))
            raise DataError(
                f"no signal row of the test split has {self.config.parameter} = {mass:g}; there are {known}"
            )
        # In double precision: scores of float32 saturate.
        p = 1 / (1 + np.exp(-columns[_ratio(mass)][counted].astype(np.float64)))
        pair = Predictions(is_signal[counted].astype(np.int64), np.stack([1 - p, p], axis=1), ("B", "S"))
        area = binary_auc_statistic(pair, signal="S", background="B")
        return lambda weights: area(weights[counted])

    def _measured(self, columns: Mapping[str, Array], weights: FloatArray | None) -> tuple[MetricInfo, ...]:
        statistics = self._statistics(columns)
        weights = np.ones(len(columns["label"])) if weights is None else weights
        draws = bootstrap_values(list(statistics.values()), weights, groups=columns.get("row_group"))
        infos = []
        for number, (name, statistic) in enumerate(statistics.items()):
            low, high = percentile_interval(draws[:, number])
            infos.append(
                self.metric(name).info(
                    Measurement(
                        value=finite(statistic(weights)),
                        low=finite(low),
                        high=finite(high),
                        n=len(weights),
                        definition=MEAN_DEFINITION if name == MEAN else BINARY_DEFINITION,
                        interval=f"bootstrap 68% ({RESAMPLES})",
                    )
                )
            )
        return tuple(infos)


def _auc(mass: float) -> str:
    return f"auc_{mass:g}"


def _ratio(mass: float) -> str:
    return f"log_ratio_{mass:g}"
