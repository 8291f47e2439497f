"""Which objects of an event come from one decay, and from which: resonances as sets of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import DataError, ModelError, did_you_mean
from hepfm.core.ragged import Array
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.store import Store
from hepfm.data.targets import SEGMENTS
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.bootstrap import Statistic, bootstrap_measurement
from hepfm.metrics.partitions import PairCounts, adjusted_rand_statistic
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.metrics.segments import (
    ObjectSets,
    SegmentCounts,
    class_efficiency_statistic,
    class_purity_statistic,
    correct_events_statistic,
    dice_statistic,
    event_efficiency_statistic,
    iou_statistic,
    object_accuracy_statistic,
)
from hepfm.models.segments import EventSegments
from hepfm.tasks.assignment_objects import ROLE
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo, ResultFile
from hepfm.tasks.result_folder import ROW_GROUP, read_columns, rows_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.segment_objects import FIELDS, SegmentRows
from hepfm.tasks.subject import Subject

TABLE = "segments.arrow"
_PAIRS = ("pairs", "true", "found", "both")
_CLASSES = ("true_RC", "found_RC", "right_RC")

Roles = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


def _two_tops() -> dict[str, tuple[tuple[str, ...], ...]]:
    return {"t_had": (("t_b", "t_q"), ("tbar_b", "tbar_q"))}


class SegmentationOptions(BaseConfig):
    """Options of the task `segmentation`; by default two top quarks that decay to hadrons.

    Attributes
    ----------
    segments
        By the name of a tag, the segments that have it, each a list of roles of objects, as of the objective
        `segmentation`; no role is in two of them.
    mass_resolution
        Relative spread of masses in the chi-squared that stands beside the model.
    """

    segments: Annotated[
        dict[str, Annotated[tuple[Roles, ...], pydantic.Field(min_length=1)]], pydantic.Field(min_length=1)
    ] = pydantic.Field(default_factory=_two_tops)
    mass_resolution: float = pydantic.Field(0.1, gt=0.0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> SegmentationOptions:
        roles = [role for several in self.segments.values() for one in several for role in one]
        twice = sorted({role for role in roles if roles.count(role) > 1})
        if twice:
            raise ValueError(
                f"the role {twice[0]!r} is in two segments, and an object is measured in one; measure tags "
                "that share objects one by one"
            )
        if "none" in self.segments:
            raise ValueError("'none' is the class of objects of no segment; give the tag another name")
        return self


@dataclass(frozen=True, kw_only=True)
class SegmentMetric(TaskMetric):
    """A metric of segments: counts of events to a function of their weights, and its definition."""

    statistic: Callable[[SegmentCounts], Statistic]
    definition: str


class SegmentationTask(Task):
    """Objects in sets; beside the model, all objects in the commonest class, and a chi-squared of masses."""

    Config: ClassVar[type[BaseConfig]] = SegmentationOptions
    name = "segmentation"
    version = 1
    title = "Segmentation of events into decays"
    primary = "event_efficiency"
    row_file = TABLE

    config: SegmentationOptions

    @property
    def needs(self) -> ModelNeeds:
        """A head of segments."""
        return ModelNeeds(field=SEGMENTS.name)

    @property
    def fields(self) -> tuple[str, ...]:
        """Roles, types and levels of objects."""
        return FIELDS

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the tags."""
        return tuple(self.config.segments)

    def metrics(self) -> tuple[SegmentMetric, ...]:
        """Return the metrics of events, of objects and each class of them, and of sets."""
        whole = (
            (
                "event_efficiency",
                "events all right, of those with a decay",
                event_efficiency_statistic,
                "events",
            ),
            ("correct_events", "events all right, of all", correct_events_statistic, "all_events"),
            ("object_accuracy", "objects right", object_accuracy_statistic, "objects"),
            ("segment_iou", "intersection over union of decays", iou_statistic, "iou"),
            ("segment_dice", "Dice coefficient of decays", dice_statistic, "dice"),
            ("adjusted_rand", "adjusted Rand index", _adjusted_rand, "adjusted_rand"),
        )
        of_class = (
            ("efficiency", "efficiency of objects of", class_efficiency_statistic),
            ("purity", "purity of objects of", class_purity_statistic),
        )
        return (
            *(
                SegmentMetric(name=name, title=title, statistic=of, definition=f"segments.{definition}.v1")
                for name, title, of, definition in whole
            ),
            *(
                SegmentMetric(
                    name=f"{name}_{tag}",
                    title=f"{title} {tag}",
                    statistic=partial(of, number=number),
                    definition=f"segments.{name}.v1",
                )
                for number, tag in enumerate(("none", *self.tags))
                for name, title, of in of_class
            ),
        )

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the segments."""
        segments = {tag: [list(one) for one in several] for tag, several in self.config.segments.items()}
        return {"name": "segmentation", "segments": segments}

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task; raise `DataError` unless objects have the roles that are asked for."""
        if ROLE not in schema:
            raise DataError(
                f"{where} has no field {ROLE!r}; the task {self.name!r} needs events simulated with truth"
            )
        bound = super().bind(schema, where=where)
        classes = schema[ROLE].classes
        for role in (role for several in self.config.segments.values() for one in several for role in one):
            if role not in classes:
                raise DataError(f"{where}: no object has the role {role!r}{did_you_mean(role, classes)}")
        return bound

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Compare the segments of the test events with the truth."""
        scorer = subject.scorer(SEGMENTS.name, self.objective())
        rows = np.asarray(store.split(self.split), np.int64)
        weights, groups = read_weights(store, rows), row_groups(store, rows)
        objects = SegmentRows.read(store, rows, self.config.segments)
        if not objects.truth.tag.any():
            raise DataError(
                f"no test event of {store.path} has an object of every role of any of "
                f"{', '.join(self.tags)}; name other segments (--segments), or simulate these"
            )
        said = scorer.score(store, rows)
        if not isinstance(said, EventSegments):
            raise ModelError(f"{subject.what} finds no segments; fine-tune it to the task first")
        counts = self._counts(objects, objects.of_model(said, self.tags, what=subject.what))
        return Measured(
            metrics=self._measure(counts, weights, groups),
            rows=len(rows),
            rows_per_class={
                f"objects: {name}": int(n)
                for name, n in zip(("none", *self.tags), counts.true_RC.sum(0), strict=True)
            },
            effective_rows=effective_rows(weights),
            baselines=tuple(
                Baseline(
                    name=name,
                    title=title,
                    metrics=self._measure(self._counts(objects, other), weights, groups),
                )
                for name, (title, other) in self._others(objects, store, rows).items()
            ),
            tables={TABLE: rows_table(rows, _columns(counts, weights, groups))},
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the counts of a result's events."""
        table = read_columns(folder, TABLE, result)
        true, found, right = (
            np.stack([table[f"{name}_{k}"] for k in range(len(self.tags) + 1)], axis=1).astype(np.int64)
            for name in _CLASSES
        )
        pairs = PairCounts(*(table[f"pairs_{name}"].astype(np.int64) for name in _PAIRS))
        segments = table["segments"].astype(np.int64)
        counts = SegmentCounts(true, found, right, segments, table["iou"], table["dice"], pairs)
        weights = table.get("weight", np.ones(len(counts.segments_R)))
        metrics = {metric.name: metric.statistic(counts) for metric in self.metrics()}
        numbers = table["row"].astype(np.int64)
        return RowStatistics(numbers, counts.segments_R, weights, metrics, table.get(ROW_GROUP))

    def _counts(self, objects: SegmentRows, found: ObjectSets) -> SegmentCounts:
        return SegmentCounts.of(objects.truth, found, tags=len(self.tags))

    def _others(
        self, objects: SegmentRows, store: Store, rows: IntArray
    ) -> Mapping[str, tuple[str, ObjectSets]]:
        number, commonest = objects.commonest()
        others = {"majority": (f"all objects {('none', *self.tags)[number]}", commonest)}
        masses = objects.by_masses(store, rows, self.config.mass_resolution)
        return others if masses is None else {"chi2": ("chi-squared of masses", masses), **others}

    def _measure(
        self, counts: SegmentCounts, weights: FloatArray | None, groups: IntArray | None
    ) -> tuple[MetricInfo, ...]:
        weights = np.ones(len(counts.segments_R)) if weights is None else weights
        return tuple(
            metric.info(
                bootstrap_measurement(
                    metric.statistic(counts), weights, definition=metric.definition, groups=groups
                )
            )
            for metric in self.metrics()
        )


def _adjusted_rand(counts: SegmentCounts) -> Statistic:
    return adjusted_rand_statistic(counts.pairs)


def _columns(counts: SegmentCounts, weights: FloatArray | None, groups: IntArray | None) -> dict[str, Array]:
    columns = {f"{name}_{k}": column for name in _CLASSES for k, column in enumerate(getattr(counts, name).T)}
    columns |= {f"pairs_{name}": getattr(counts.pairs, name) for name in _PAIRS}
    columns |= {"segments": counts.segments_R, "iou": counts.iou_R, "dice": counts.dice_R}
    optional = {"weight": weights, ROW_GROUP: groups}
    return {**columns, **{name: values for name, values in optional.items() if values is not None}}
