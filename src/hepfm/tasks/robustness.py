"""Robustness: how far the scores of a classifier shift between simulations (RS3L, 2403.07066).

A network whose scores move when the shower does has learned the simulation. Small shifts alone say nothing:
scores at random, or all equal, do not shift. Hence the headline is the shift over the distance between the
classes, and the AUC in every simulation stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.log import logger
from hepfm.core.ragged import Array
from hepfm.core.schema import Kind, Schema
from hepfm.data.store import Store
from hepfm.metrics.auc import BINARY_DEFINITION, binary_auc_statistic
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values, finite, percentile_interval
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.metrics.score_shift import shift_statistic
from hepfm.tasks.base import TaskMetric
from hepfm.tasks.result import MetricInfo, ResultFile
from hepfm.tasks.result_folder import read_observers, read_scores
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.sides import Names, SidesConfig, SignalTask

VARIATION = "variation"
"""Column beside the scores: number of the row's simulation; the nominal one is 0."""

RELATIVE, FLOOR = "relative_shift", "relative_shift_floor"


class RobustnessConfig(SidesConfig):
    """Options of `Robustness`, beside those of `SidesConfig`.

    Attributes
    ----------
    variation
        The categorical field of the rows that says which simulation a row is of.
    nominal
        Its class that the others are compared with.
    variations
        Those that are compared; all others when empty.
    floor
        The one that differs from the nominal one by chance alone; it is left out of the headline.
    """

    variation: str = "jet_variation"
    nominal: str = "nominal"
    variations: Names = ()
    floor: str = "seed"


class Robustness(SignalTask):
    """Distances between the scores p_S/(p_S + p_B) of a class in several simulations.

    By simulation and class the 1-Wasserstein distance from the nominal simulation, by simulation the AUC.
    As in all tasks, resamples keep rows of one group (simulations of one event) together.
    """

    Config = RobustnessConfig
    name = "robustness"
    version = 1
    primary = RELATIVE
    heading = "Robustness of"

    config: RobustnessConfig

    @property
    def fields(self) -> tuple[str, ...]:
        """The label, the field of the simulations, and the one that says which rows count."""
        return tuple(dict.fromkeys((*super().fields, self.config.variation)))

    @property
    def simulations(self) -> tuple[str, ...]:
        """Names of the simulations by number; the nominal one is the first."""
        return (self.config.nominal, *self.config.variations)

    def metrics(self) -> tuple[TaskMetric, ...]:  # type: ignore[override]
        """Return the headline and its floor, the AUC by simulation, the shifts by simulation and class."""
        variations = self.config.variations
        relative = TaskMetric(name=RELATIVE, title="shift over the distance of the classes", better="lower")
        floor = [replace(relative, name=FLOOR, title=f"the same of {self.config.floor!r} (chance)")]
        aucs = (TaskMetric(name=f"auc_{name}", title=f"AUC in {name}") for name in self.simulations)
        shifts = (
            TaskMetric(name=f"shift_{name}_{of}", title=f"shift of {of} in {name}", better="lower")
            for name in variations
            for of in self.classes
        )
        return (relative, *(floor if self.config.floor in variations else ()), *aucs, *shifts)

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the scored rows of a result."""
        predictions, rows = read_scores(folder, result)
        columns = read_observers(folder, result, (VARIATION,))
        statistics, weights = self._by_name(predictions, columns[VARIATION]), predictions.row_weights
        return RowStatistics(rows, predictions.labels, weights, statistics, predictions.groups)

    def _filled(self, schema: Schema, where: str) -> dict[str, Any]:
        config = self.config
        field, what = schema[config.variation], f"{config.variation!r} of {where}"
        if field.kind is not Kind.CATEGORICAL or field.level is not schema.row:
            raise DataError(
                f"{what} is {field.kind} of the {field.level}; the task {self.name!r} needs a categorical "
                "field of the rows that says which simulation a row is of: variation=NAME (--variation NAME)"
            )
        for name in (config.nominal, *config.variations):
            if name not in field.classes:
                raise DataError(
                    f"{what} has no simulation {name!r}{did_you_mean(name, field.classes)}; it "
                    f" has {', '.join(field.classes)}; set nominal or variations"
                )
        if config.nominal in config.variations:
            raise ConfigError(f"{config.nominal!r} is the nominal simulation; leave it out of variations")
        return {"variations": config.variations or [n for n in field.classes if n != config.nominal]}

    def _rows(self, store: Store) -> IntArray:
        rows = super()._rows(store)
        number = self._simulation(store, rows)
        counts = dict(zip(self.simulations, np.bincount(number + 1, minlength=99)[1:].tolist(), strict=False))
        missing = [name for name, count in counts.items() if not count]
        present = [name for name in self.simulations[1:] if counts[name] and name != self.config.floor]
        if self.config.nominal in missing or not present:
            raise DataError(
                f"the test rows of {store.path} have {self.config.variation} = "
                f"{', '.join(name for name, count in counts.items() if count) or 'none of those asked for'}; "
                f"robustness compares {self.config.nominal!r} with at least one other simulation than "
                f"{self.config.floor!r}, which differs by chance alone"
            )
        if missing:
            logger.warning("no test row has %s = %s", self.config.variation, " or ".join(missing))
        return rows[number >= 0]

    def _simulation(self, store: Store, rows: IntArray) -> IntArray:
        """Return the number of the simulation of each row; -1 for those that are not compared."""
        names = store.schema[self.config.variation].classes
        index = [self.simulations.index(n) if n in self.simulations else -1 for n in names]
        values = np.asarray(store.read([self.config.variation], rows)[self.config.variation])
        return np.array(index, np.int64)[values.astype(np.int64)]

    def _observed(self, store: Store, rows: IntArray) -> dict[str, Array]:
        return {**super()._observed(store, rows), VARIATION: self._simulation(store, rows)}

    def _measure(self, predictions: Predictions, observers: Mapping[str, Array]) -> tuple[MetricInfo, ...]:
        statistics = self._by_name(predictions, observers[VARIATION])
        weights = predictions.row_weights
        draws = bootstrap_values(list(statistics.values()), weights, groups=predictions.groups)
        return tuple(
            self.metric(name).info(_measurement(name, statistic(weights), values, len(weights)))
            for (name, statistic), values in zip(statistics.items(), draws.T, strict=True)
        )

    def _by_name(self, predictions: Predictions, simulation: Array) -> dict[str, Statistic]:
        """Return the metrics as functions of row weights; those of which there are no rows are left out."""
        sides, signal, background = self.sides(predictions)
        score = 1 / (1 + np.exp(-np.clip(sides.log_ratio(signal, background), -700, 700)))
        rows = {
            (name, of): np.flatnonzero((simulation == number) & (predictions.labels == index))
            for number, name in enumerate(self.simulations)
            for index, of in enumerate(self.classes)
        }
        shifts = {
            (name, of): shift_statistic(score, found, rows[self.config.nominal, of])
            for (name, of), found in rows.items()
            if name != self.config.nominal and len(found) and len(rows[self.config.nominal, of])
        }
        in_nominal = simulation == 0
        apart = shift_statistic(
            score,
            *(
                np.flatnonzero(in_nominal & (sides.labels == sides.index(side)))
                for side in (signal, background)
            ),
        )
        whole = [one for (name, _), one in shifts.items() if name != self.config.floor]
        chance = [one for (name, _), one in shifts.items() if name == self.config.floor]
        return {
            RELATIVE: partial(_relative, whole, apart),
            **({FLOOR: partial(_relative, chance, apart)} if chance else {}),
            **dict(self._aucs(sides, signal, background, simulation)),
            **{f"shift_{name}_{of}": one for (name, of), one in shifts.items()},
        }

    def _aucs(
        self, sides: Predictions, signal: str, background: str, simulation: Array
    ) -> Iterator[tuple[str, Statistic]]:
        for number, name in enumerate(self.simulations):
            rows = np.flatnonzero(simulation == number)
            if len(set(sides.labels[rows].tolist())) < 2:
                continue
            auc = binary_auc_statistic(sides.take(rows), signal=signal, background=background)
            yield f"auc_{name}", partial(_of_rows, auc, rows)


def _of_rows(statistic: Statistic, rows: IntArray, weights: FloatArray) -> float:
    return statistic(weights[rows])


def _relative(shifts: Sequence[Statistic], apart: Statistic, weights: FloatArray) -> float:
    """Return the mean of some shifts over the distance between the classes; undefined where that is 0."""
    distance = apart(weights)
    mean = float(np.mean([shift(weights) for shift in shifts]))
    return mean / distance if distance > 0 else float("nan")


def _measurement(name: str, value: float, draws: FloatArray, n: int) -> Measurement:
    """Return a measurement with its interval.

    A distance of two samples is above the true one, and that of two resamples is above it by as much again:
    the interval of a shift is the percentile interval mirrored at the value, which it always contains.
    """
    low, high = percentile_interval(draws)
    if name.startswith("auc_"):
        return Measurement(
            finite(value), finite(low), finite(high), n, BINARY_DEFINITION, f"bootstrap 68% ({RESAMPLES})"
        )
    definition = "score_shift.relative.v1" if name.startswith(RELATIVE) else "score_shift.w1.v1"
    low, high = min(value, max(0.0, 2 * value - high)), max(value, 2 * value - low)
    interval = f"bootstrap 68% ({RESAMPLES}), mirrored"
    return Measurement(finite(value), finite(low), finite(high), n, definition, interval)
