"""Neutrinos of events: the resolution of an estimate and of one draw, and the calibration of the draws.

Beside the model stand the analytic solution of dileptonic top pairs (`hepfm.physics.ttbar`), an even share of
the missing momentum, and the median of each quantity. What is marked ``solved`` is measured of the events
that have an analytic solution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import DataError, ModelError
from hepfm.core.ragged import Array
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.store import Store
from hepfm.data.targets import NEUTRINOS
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.coverage import COVERED, least_draws
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.models.neutrinos import NeutrinoSolutions
from hepfm.physics.ttbar import TopSolutions, likelier_bottoms, reconstruct, shared_missing
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.neutrino_events import FIELDS, NeutrinoEvents
from hepfm.tasks.neutrino_quantities import (
    COMPONENTS,
    DRAW,
    METRICS,
    SOLVED,
    NeutrinoMetric,
    errors_of,
    of_draws,
)
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import ROW_GROUP, read_columns, rows_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.row_values import RowValues
from hepfm.tasks.subject import Subject
from hepfm.tasks.ttbar_events import Bools

TABLE = "neutrinos.arrow"
LEAST = max(least_draws(nominal) for nominal in COVERED.values())
"""Fewest draws whose widest interval has both ends."""

Errors = Mapping[str, Array]


class NeutrinosOptions(BaseConfig):
    """Options of the task `neutrinos`.

    Attributes
    ----------
    draws
        Solutions of each event.
    steps
        Steps of the sampler; those of the head when null.
    seed
        Of the draws.
    """

    draws: int = pydantic.Field(100, ge=LEAST)
    steps: int | None = pydantic.Field(None, ge=2)
    seed: int = pydantic.Field(0, ge=0)


class NeutrinosTask(Task):
    """Neutrino and antineutrino of the hard process, of events that have no two of a kind."""

    Config: ClassVar[type[BaseConfig]] = NeutrinosOptions
    name = "neutrinos"
    version = 1
    title = "Neutrinos of events"
    primary = "nu_pz_width"
    row_file = TABLE

    config: NeutrinosOptions

    @property
    def needs(self) -> ModelNeeds:
        """A head that draws neutrinos."""
        return ModelNeeds(field=NEUTRINOS.name)

    @property
    def fields(self) -> tuple[str, ...]:
        """What objects are, where they are, and which decay they come from."""
        return FIELDS

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the metrics of the estimate, of one draw, of solved events, and of the distribution."""
        return tuple(one.metric for one in METRICS)

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the neutrinos."""
        return {"name": "neutrinos"}

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task; raise `DataError` unless the store has the objects of the hard process."""
        lacking = [name for name in ("object_pdg", "object_role") if name not in schema]
        if lacking:
            raise DataError(
                f"{where} has no field {lacking[0]!r}: it does not know the hard process; the task "
                f"{self.name!r} needs events simulated with truth, e.g. of `hepfm simulate ttbar_dilepton`"
            )
        return super().bind(schema, where=where)

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Draw the neutrinos of the test rows, and compare them with the truth and with the other ways."""
        config = self.config
        drawing = {"solutions": config.draws, "steps": config.steps, "seed": config.seed}
        scorer = subject.scorer(NEUTRINOS.name, self.objective(), drawing=drawing)
        events = NeutrinoEvents.read(store, np.asarray(store.split(self.split), np.int64))
        if not len(events):
            raise DataError(
                f"no test row of {store.path} has a neutrino in its hard process (or all have several of one "
                f"kind); the task {self.name!r} needs some, e.g. of `hepfm simulate ttbar_dilepton`"
            )
        said = _checked(scorer.score(store, events.rows), events, what=subject.what)
        found = reconstruct(events.pairs.seen)
        solved = np.zeros(len(events), bool)
        solved[events.of_pairs] = found.solved
        rows = _Rows(solved, read_weights(store, events.rows), row_groups(store, events.rows))
        model = _of_model(said, events)
        return Measured(
            metrics=rows.measure(model),
            rows=len(events),
            rows_per_class={
                "neutrinos": int(events.there.sum()),
                "dileptonic top pairs": len(events.of_pairs),
                SOLVED: int(solved.sum()),
            },
            effective_rows=effective_rows(rows.weights),
            baselines=tuple(
                Baseline(name=name, title=title, metrics=metrics)
                for name, (title, answer) in _others(events, found).items()
                if (metrics := rows.measure(answer))
            ),
            tables={TABLE: rows_table(events.rows, rows.columns(model))},
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the errors of a result's events."""
        table = read_columns(folder, TABLE, result)
        rows, model = _Rows.of(table)
        ones = np.ones(len(rows.solved)) if rows.weights is None else rows.weights
        numbers = table["row"].astype(np.int64)
        return RowStatistics(numbers, rows.solved, ones, rows.statistics(model), rows.groups)


def _checked(said: Any, events: NeutrinoEvents, *, what: str) -> NeutrinoSolutions:
    if not isinstance(said, NeutrinoSolutions):
        raise ModelError(f"{what} draws no neutrinos; fine-tune it with the objective neutrinos first")
    draws = said.momenta.shape[1] if said.momenta.ndim == 4 else 0
    if said.momenta.shape != (len(events), draws, 2, 3) or said.estimate.shape != (len(events), 2, 3):
        raise ModelError(
            f"{what} gives neutrinos of the shapes {said.momenta.shape} and {said.estimate.shape}; of "
            f"{len(events)} events they are ({len(events)}, S, 2, 3) and ({len(events)}, 2, 3)"
        )
    if draws < LEAST:
        raise ModelError(f"{what} gives {draws} draws; intervals of 95 % need {LEAST} or more")
    if not (np.isfinite(said.momenta).all() and np.isfinite(said.estimate).all()):
        raise ModelError(f"{what} gives momenta of neutrinos that are NaN or infinite")
    return said


def _of_model(said: NeutrinoSolutions, events: NeutrinoEvents) -> Errors:
    bottoms = likelier_bottoms(events.pairs.seen)
    draws = said.momenta.astype(np.float64)
    one = errors_of(events, draws[:, 0], bottoms)
    return {
        **errors_of(events, said.estimate.astype(np.float64), bottoms),
        **{f"{name}_{DRAW}": values for name, values in one.items()},
        **of_draws(events, draws),
    }


def _others(events: NeutrinoEvents, found: TopSolutions) -> dict[str, tuple[str, Errors]]:
    """Return title and errors of the other ways."""
    bottoms = likelier_bottoms(events.pairs.seen)
    half = shared_missing(events.missing, events.leptons, events.there.sum(1))
    solutions = np.full_like(events.truth, np.nan)
    solutions[events.of_pairs] = found.neutrinos[..., 1:]
    truth = errors_of(events, events.truth, bottoms)
    analytic = errors_of(events, solutions, found.bottoms)
    # Both masses, and the sum of the neutrinos, are what the solution is made of.
    given = ("w_mass", "top_mass", "missing")
    return {
        "analytic": ("analytic solution", {k: v for k, v in analytic.items() if k not in given}),
        "half": ("an even share of the missing pT", errors_of(events, half[..., 1:], bottoms)),
        "median": ("median of the test events", _of_medians(events)),
        "truth": ("true neutrinos", {"missing": truth["missing"]}),
    }


def _of_medians(events: NeutrinoEvents) -> Errors:
    """The median of each component over these very neutrinos: widths are those of any constant."""
    found = {}
    values = {name: events.truth[..., k] for k, name in enumerate(COMPONENTS)}
    values["pt"] = np.hypot(values["px"], values["py"])
    values["energy"] = np.linalg.norm(events.truth, axis=-1)
    for name, of_name in values.items():
        found[f"nu_{name}"] = np.nanmedian(of_name) - of_name
    return found


@dataclass(frozen=True)
class _Rows:
    """The events that are measured: which have an analytic solution, their weights and groups."""

    solved: Bools
    weights: FloatArray | None
    groups: IntArray | None

    @classmethod
    def of(cls, table: Mapping[str, Array]) -> tuple[Self, Errors]:
        """Return what a table of `columns` was made of."""
        rows = cls(table["solved"], table.get("weight"), table.get(ROW_GROUP))
        names = dict.fromkeys(one.quantity for one in METRICS)
        found = {
            name: np.stack([table[f"{name}.{k}"] for k in range(2) if f"{name}.{k}" in table], axis=1)
            for name in names
            if f"{name}.0" in table
        }
        return rows, found

    def columns(self, found: Errors) -> dict[str, Array]:
        """Return what is kept of each event."""
        values = {f"{name}.{k}": column for name, both in found.items() for k, column in enumerate(both.T)}
        optional = {"weight": self.weights, ROW_GROUP: self.groups}
        kept = {name: column for name, column in optional.items() if column is not None}
        return {**values, "solved": self.solved, **kept}

    def measure(self, found: Errors) -> tuple[MetricInfo, ...]:
        """Return the measurements of all quantities that are there."""
        return tuple(
            one.metric.info(values.measurement(one.statistic, definition=one.definition), detail=one.detail)
            for one in METRICS
            if (values := self._values(one, found)).known
        )

    def statistics(self, found: Errors) -> dict[str, Any]:
        """Return the same as functions of the weights of events."""
        return {
            one.metric.name: values.statistic(one.statistic)
            for one in METRICS
            if (values := self._values(one, found)).known
        }

    def _values(self, one: NeutrinoMetric, found: Errors) -> RowValues:
        values = found.get(one.quantity, np.full((len(self.solved), 1), np.nan))
        values = np.where(self.solved[:, None], values, np.nan) if one.solved else values
        return RowValues(values, self.weights, self.groups)
