"""Which tracks of a jet share a production vertex (after 2409.12589)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from hepfm.core.errors import DataError, ModelError
from hepfm.core.ragged import Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.schemas.jets import NO_VERTEX
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.bootstrap import Statistic, bootstrap_measurement
from hepfm.metrics.partitions import (
    PairCounts,
    adjusted_rand_of_several_statistic,
    adjusted_rand_statistic,
    pair_efficiency_statistic,
    pair_purity_statistic,
)
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.constituent_origin import VERTEX, leading
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import ROW_GROUP, read_columns, rows_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Subject

VERTICES = "vertices.arrow"
_COUNTS = ("pairs", "true", "found", "both")


@dataclass(frozen=True, kw_only=True)
class PairMetric(TaskMetric):
    """A metric of pairs of tracks.

    Attributes
    ----------
    statistic
        Counts of pairs to a function of the weights of jets.
    definition
        Identifier of its definition.
    """

    statistic: Callable[[PairCounts], Statistic]
    definition: str


class VertexFinding(Task):
    """Tracks in vertices; beside the model, all tracks in one vertex, and each track in one of its own."""

    name = "vertex_finding"
    version = 1
    title = "Vertices of tracks"
    primary = "adjusted_rand"
    row_file = VERTICES
    label: ClassVar[str] = VERTEX

    @property
    def needs(self) -> ModelNeeds:
        """A head of pairs that finds the vertices."""
        return ModelNeeds(field=self.label)

    @property
    def fields(self) -> tuple[str, ...]:
        """The number of the vertex of each constituent."""
        return (self.label,)

    def metrics(self) -> tuple[PairMetric, ...]:
        """Return the adjusted Rand index, and efficiency and purity of pairs."""
        return (
            PairMetric(
                name="adjusted_rand",
                title="adjusted Rand index, jets with a secondary vertex",
                statistic=adjusted_rand_of_several_statistic,
                definition="adjusted_rand.several.v1",
            ),
            PairMetric(
                name="adjusted_rand_all",
                title="adjusted Rand index, all jets",
                statistic=adjusted_rand_statistic,
                definition="adjusted_rand.v1",
            ),
            PairMetric(
                name="pair_efficiency",
                title="efficiency of pairs",
                statistic=pair_efficiency_statistic,
                definition="pair_efficiency.v1",
            ),
            PairMetric(
                name="pair_purity",
                title="purity of pairs",
                statistic=pair_purity_statistic,
                definition="pair_purity.v1",
            ),
        )

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns which tracks share a vertex."""
        return {"name": "vertices", "label": self.label}

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task; raise `DataError` unless constituents have numbers of vertices."""
        bound = super().bind(schema, where=where)
        if not schema.is_ragged(self.label):
            raise DataError(f"{self.label!r} of {where} is no field of constituents")
        return bound

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Find the vertices of the test rows, and count pairs of tracks."""
        scorer = subject.scorer(self.label, self.objective())
        rows = np.asarray(store.split(self.split), np.int64)
        weights, groups = read_weights(store, rows), row_groups(store, rows)
        found = scorer.score(store, rows)
        if not isinstance(found, Ragged):
            raise ModelError(f"{subject.what} finds no vertices; fine-tune it to the task first")
        truth = leading(lists(store.read([self.label], rows), self.label), found.lengths)
        tracks = truth.values != NO_VERTEX
        truth, found = truth.keep(tracks), found.keep(tracks)
        counts = PairCounts.of(truth, found)
        if not counts.pairs.any():
            raise DataError(f"no test row of {store.path} has two tracks; the task {self.name!r} needs some")
        trivial = {
            "one_vertex": ("all in one vertex", np.zeros_like(truth.values)),
            "alone": ("each track alone", np.arange(len(truth.values))),
        }
        columns = {name: getattr(counts, name) for name in _COUNTS}
        optional = {"weight": weights, ROW_GROUP: groups}
        columns |= {name: values for name, values in optional.items() if values is not None}
        return Measured(
            metrics=self._measure(counts, weights, groups),
            rows=len(rows),
            rows_per_class={},
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=name,
                    title=title,
                    metrics=self._measure(PairCounts.of(truth, truth.with_values(values)), weights, groups),
                )
                for name, (title, values) in trivial.items()
            ),
            tables={VERTICES: rows_table(rows, columns)},
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the counts of pairs of the test rows of a result."""
        table = read_columns(folder, VERTICES, result)
        counts = PairCounts(*(table[name].astype(np.int64) for name in _COUNTS))
        weights = table.get("weight", np.ones(len(counts.pairs)))
        metrics = {metric.name: metric.statistic(counts) for metric in self.metrics()}
        rows = table["row"].astype(np.int64)
        return RowStatistics(rows, counts.true, weights, metrics, table.get(ROW_GROUP))

    def _measure(
        self, counts: PairCounts, weights: FloatArray | None, groups: IntArray | None
    ) -> tuple[MetricInfo, ...]:
        weights = np.ones(len(counts.pairs)) if weights is None else weights
        return tuple(
            metric.info(
                bootstrap_measurement(
                    metric.statistic(counts), weights, definition=metric.definition, groups=groups
                )
            )
            for metric in self.metrics()
        )
