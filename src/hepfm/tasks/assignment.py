"""Which objects of an event are the daughters of which resonance, e.g. of two hadronic top quarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.assignments import (
    AssignmentCounts,
    correct_events_statistic,
    event_efficiency_statistic,
    resonance_efficiency_statistic,
)
from hepfm.metrics.bootstrap import Statistic, bootstrap_measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.physics.topology import Topology
from hepfm.tasks.assignment_baselines import chi2_roles, random_roles
from hepfm.tasks.assignment_objects import ROLE, TYPE, RoleRows, roles_of_probabilities
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import ROW_GROUP, read_columns, rows_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Subject

ASSIGNMENTS = "assignments.arrow"


def _two_tops() -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(("t", "tbar"), ("b", "q", "q"))


class AssignmentOptions(BaseConfig):
    """Options of the task `assignment`; by default two top quarks that decay to hadrons.

    Attributes
    ----------
    resonances
        Daughters by the name of the resonance; those of one name are interchangeable.
    alike
        Groups of resonances that nothing tells apart: found is one if any of the group was given its objects.
    mass_resolution
        Relative spread of masses in the chi-squared that stands beside the model.
    """

    resonances: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=_two_tops)
    alike: tuple[tuple[str, ...], ...] = (("t", "tbar"),)
    mass_resolution: float = pydantic.Field(0.1, gt=0.0)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _none_alike(cls, given: Any) -> Any:
        """Resonances that were declared are alike only where this was declared too."""
        if isinstance(given, dict) and "resonances" in given:
            return {"alike": (), **given}
        return given

    @pydantic.model_validator(mode="after")
    def _check(self) -> AssignmentOptions:
        Topology.of(self.resonances, self.alike)
        return self


@dataclass(frozen=True, kw_only=True)
class AssignmentMetric(TaskMetric):
    """A metric of assignments.

    Attributes
    ----------
    statistic
        Counts of resonances to a function of the weights of events.
    definition
        Identifier of its definition.
    """

    statistic: Callable[[AssignmentCounts], Statistic]
    definition: str


class AssignmentTask(Task):
    """Pairing efficiencies; beside the model, the best chi-squared of masses, and a random assignment.

    A model says the role of each object, by a head of assignments, or probabilities of roles of single
    objects, of which the best consistent assignment is made.
    """

    Config = AssignmentOptions
    name = "assignment"
    version = 1
    title = "Assignment of objects to resonances"
    primary = "event_efficiency"
    row_file = ASSIGNMENTS
    config: AssignmentOptions

    @property
    def topology(self) -> Topology:
        """What is to be found."""
        return Topology.of(self.config.resonances, self.config.alike)

    @property
    def needs(self) -> ModelNeeds:
        """A head that says the roles of objects."""
        return ModelNeeds(field=ROLE)

    @property
    def fields(self) -> tuple[str, ...]:
        """Roles and types of objects."""
        return (ROLE, TYPE)

    def metrics(self) -> tuple[AssignmentMetric, ...]:
        """Return the efficiencies of events and of resonances, of all and of each branch."""
        branches = self.topology.branches
        return (
            AssignmentMetric(
                name="event_efficiency",
                title="events all right, of matched",
                statistic=event_efficiency_statistic,
                definition="assignment.matched_events.v1",
            ),
            AssignmentMetric(
                name="correct_events",
                title="events all right, of all",
                statistic=correct_events_statistic,
                definition="assignment.events.v1",
            ),
            AssignmentMetric(
                name="resonance_efficiency",
                title="resonances right, of complete",
                statistic=resonance_efficiency_statistic,
                definition="assignment.resonances.v1",
            ),
            *(
                AssignmentMetric(
                    name=f"resonance_efficiency_{branch.resonances[0]}",
                    title=f"{', '.join(branch.resonances)} right, of complete",
                    statistic=lambda counts, number=number: resonance_efficiency_statistic(counts, number),  # type: ignore[misc]
                    definition="assignment.resonances.v1",
                )
                for number, branch in enumerate(branches)
                if len(branches) > 1
            ),
        )

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the assignment."""
        declared = {name: list(daughters) for name, daughters in self.config.resonances.items()}
        alike = [list(group) for group in self.config.alike]
        return {"name": "assignment", "label": ROLE, "resonances": declared, "alike": alike}

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task; raise `DataError` unless objects have types, and the roles that are asked for."""
        bound = super().bind(schema, where=where)
        for name in self.fields:
            if not schema.is_ragged(name):
                raise DataError(f"{name!r} of {where} is no field of objects")
        try:
            self.topology.roles(schema[ROLE].classes)
        except ConfigError as error:
            raise DataError(f"{where}: {error}") from None
        return bound

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Compare assignments of the test events with the truth."""
        scorer = subject.scorer(ROLE, self.objective())
        rows = np.asarray(store.split(self.split), np.int64)
        weights, groups = read_weights(store, rows), row_groups(store, rows)
        objects = RoleRows.read(store, rows, self.topology)
        said = scorer.score(store, rows)
        if not isinstance(said, Ragged):
            raise ModelError(f"{subject.what} says no roles of objects; fine-tune it to the task first")
        if said.values.ndim == 2:
            said = roles_of_probabilities(objects, said, scorer.classes)
        counts = objects.counts(said)
        if not counts.matched.any():
            raise DataError(
                f"no test event of {store.path} has all of {', '.join(self.config.resonances)} with all "
                "their daughters among its objects; name other resonances, or simulate these"
            )
        answers = {"random": ("random assignment", random_roles(objects))}
        chi2 = chi2_roles(objects, resolution=self.config.mass_resolution)
        if chi2 is not None:
            answers = {"chi2": ("chi-squared of masses", chi2), **answers}
        matched = int(counts.matched.sum())
        return Measured(
            metrics=self._measure(counts, weights, groups),
            rows=len(rows),
            rows_per_class={"matched": matched, "not matched": len(rows) - matched},
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=name,
                    title=title,
                    metrics=self._measure(objects.counts(roles), weights, groups),
                )
                for name, (title, roles) in answers.items()
            ),
            tables={ASSIGNMENTS: rows_table(rows, _columns(counts, weights, groups))},
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return what the test events of a result say."""
        table = read_columns(folder, ASSIGNMENTS, result)
        branches = self.topology.branches
        complete, correct = (
            np.stack([table[f"{what}_{k}"] for k in range(len(branches))], axis=1).astype(np.int64)
            for what in ("complete", "correct")
        )
        sizes = np.array([len(branch.resonances) for branch in branches])
        counts = AssignmentCounts(complete, correct, sizes)
        weights = table.get("weight", np.ones(len(complete)))
        metrics = {metric.name: metric.statistic(counts) for metric in self.metrics()}
        rows = table["row"].astype(np.int64)
        return RowStatistics(rows, complete.sum(1), weights, metrics, table.get(ROW_GROUP))

    def _measure(
        self, counts: AssignmentCounts, weights: FloatArray | None, groups: IntArray | None
    ) -> tuple[MetricInfo, ...]:
        weights = np.ones(len(counts.matched)) if weights is None else weights
        return tuple(
            metric.info(
                bootstrap_measurement(
                    metric.statistic(counts), weights, definition=metric.definition, groups=groups
                )
            )
            for metric in self.metrics()
        )


def _columns(counts: AssignmentCounts, weights: FloatArray | None, groups: IntArray | None) -> dict[str, Any]:
    columns = {
        f"{what}_{k}": values[:, k]
        for what, values in (("complete", counts.complete_RG), ("correct", counts.correct_RG))
        for k in range(len(counts.resonances_G))
    }
    optional = {"weight": weights, ROW_GROUP: groups}
    return {**columns, **{name: values for name, values in optional.items() if values is not None}}
