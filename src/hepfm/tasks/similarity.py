"""Similarity: how alike two networks see the same rows, layer by layer (CKA, as in 2412.10665).

Beside the other model stands an untrained network of its architecture: what only the inputs and the shape of
the network make alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.config import fingerprint
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.groups import row_groups
from hepfm.data.store import Store
from hepfm.metrics.bootstrap import RESAMPLES, bootstrap_weights, finite, percentile_interval
from hepfm.metrics.cka import DEFINITION, LEAST_BATCH, BatchHsic
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.models.directory import Model, read_config
from hepfm.models.folder import model_directory
from hepfm.models.layer_vectors import SUMMARY, layer_vectors
from hepfm.models.untrained import untrained
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo
from hepfm.tasks.subject import Subject

TABLE = "similarity.arrow"
BATCHES, MOST_ROWS_OF_BATCH = 20, 100
LEAST_ROWS = BATCHES * LEAST_BATCH

Vectors = Mapping[str, Array]


class SimilarityConfig(BaseConfig):
    """Options of `Similarity`.

    Attributes
    ----------
    other
        Directory of the model that is compared with.
    rows
        Most test rows, a seeded draw; of rows that belong together one is drawn.
    seed
        Of the draw, and of the untrained network.
    fingerprint
        Of the other model, filled in when the task is bound.
    """

    other: str | None = None
    rows: int = pydantic.Field(4_000, ge=LEAST_ROWS)
    seed: int = pydantic.Field(0, ge=0)
    fingerprint: str | None = None


@dataclass(frozen=True)
class _Pairs:
    """Alignment of all pairs of layers, and its ends: (L, M) each."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


class Similarity(Task):
    """Centred kernel alignment of the layers of a model with those of another; rows count alike."""

    Config: ClassVar[type[BaseConfig]] = SimilarityConfig
    name = "similarity"
    version = 1
    primary = "cka"

    config: SimilarityConfig

    def __init__(self, config: BaseConfig | None = None) -> None:
        super().__init__(config)
        other = f" with {self.config.other}" if self.config.other else ""
        self.title = f"Similarity of representations{other}"

    @property
    def needs(self) -> ModelNeeds:
        """A backbone."""
        return ModelNeeds(embedding=True)

    @property
    def fields(self) -> tuple[str, ...]:
        """None beside what both models read."""
        return ()

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the alignment of the summary vectors; that of a layer that both have adds its name."""
        return (TaskMetric(name="cka", title="CKA"),)

    def metric(self, name: str) -> TaskMetric:
        """Return a metric by its name, of the summary vectors or, with ``_LAYER`` behind it, of a layer."""
        (whole,) = self.metrics()
        if name.startswith("cka_"):
            return whole.of_group(name.removeprefix("cka_"))
        return super().metric(name)

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task with the other model's fingerprint filled in.

        Raises
        ------
        ConfigError
            When no other model is named.
        ModelError
            When there is none, or it is not the one that the task was bound to.
        """
        other = self.config.other
        if other is None:
            raise ConfigError("say which model is compared with: other=MODEL (--other MODEL)")
        found = fingerprint(read_config(model_directory(other)))
        if self.config.fingerprint not in (None, found):
            raise ModelError(f"{other} is another model than the task was bound to; leave fingerprint out")
        return self.__class__(self.config.model_copy(update={"fingerprint": found}))

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Measure the alignment of all layers of both models, and of an untrained one, on test rows."""
        rows = self._rows(store)
        assert self.config.other is not None
        other = Model.load(self.config.other)
        ours = _finite(subject.layers(store, rows), subject.what)
        theirs, random = (
            _finite(
                layer_vectors(one, store, rows=rows, device=subject.device),
                f"the model at {self.config.other}",
            )
            for one in (other, untrained(other, seed=self.config.seed))
        )
        batches = _batches(len(rows))
        with_other, with_random = (_pairs(ours, vectors, batches) for vectors in (theirs, random))
        return Measured(
            metrics=self._infos(with_other, ours, theirs, len(rows)),
            rows=len(rows),
            rows_per_class={},
            baselines=(
                Baseline(
                    name="untrained",
                    title="with an untrained network",
                    metrics=self._infos(with_random, ours, random, len(rows)),
                ),
            ),
            tables={TABLE: _table(ours, theirs, with_other, with_random)},
        )

    def _rows(self, store: Store) -> IntArray:
        """Draw the test rows, in random order; one of each group."""
        rng = numpy_generator(self.config.seed, "tasks.similarity.rows")
        rows = rng.permutation(np.asarray(store.split(self.split), np.int64))
        groups = row_groups(store, rows)
        if groups is not None:
            rows = rows[np.sort(np.unique(groups, return_index=True)[1])]
        if len(rows) < LEAST_ROWS:
            raise DataError(
                f"{store.path} has {len(rows)} independent test rows; the task {self.name!r} needs "
                f"{LEAST_ROWS}"
            )
        return rows[: self.config.rows]

    def _infos(self, pairs: _Pairs, ours: Vectors, theirs: Vectors, n: int) -> tuple[MetricInfo, ...]:
        (whole,) = self.metrics()
        first, second = list(ours), list(theirs)
        shared = [SUMMARY, *(name for name in first if name in theirs and name != SUMMARY)]
        return tuple(
            whole.info(
                _measurement(pairs, first.index(name), second.index(name), n),
                "" if name == SUMMARY else name,
            )
            for name in shared
        )


def _finite(vectors: Vectors, what: str) -> Vectors:
    for name, values in vectors.items():
        if not np.isfinite(values).all():
            raise ModelError(f"{what} gives vectors of the layer {name} that are NaN or infinite")
    return vectors


def _batches(count: int) -> list[Array]:
    """Cut rows, in their random order, into batches of equal size, so many as give an interval."""
    size = min(MOST_ROWS_OF_BATCH, count // BATCHES)
    return np.array_split(np.arange(count), count // size)


def _pairs(first: Vectors, second: Vectors, batches: list[Array]) -> _Pairs:
    hsic = BatchHsic.of(list(first.values()), list(second.values()), batches)
    draws = np.stack([hsic.cka(weights) for weights in bootstrap_weights(len(batches))])
    ends = np.array(
        [[percentile_interval(draws[:, k, m]) for m in range(draws.shape[2])] for k in range(draws.shape[1])]
    )
    return _Pairs(hsic.cka(), ends[..., 0], ends[..., 1])


def _measurement(pairs: _Pairs, k: int, m: int, n: int) -> Measurement:
    value, low, high = (finite(float(of[k, m])) for of in (pairs.value, pairs.low, pairs.high))
    return Measurement(value, low, high, n, DEFINITION, f"bootstrap 68% ({RESAMPLES})")


def _table(ours: Vectors, theirs: Vectors, other: _Pairs, random: _Pairs) -> pa.Table:
    """Return all pairs of layers: names, alignment with its ends, that with the untrained network."""
    first, second = np.meshgrid(list(ours), list(theirs), indexing="ij")
    columns = {
        "layer": first.ravel(),
        "other_layer": second.ravel(),
        "cka": other.value.ravel(),
        "low": other.low.ravel(),
        "high": other.high.ravel(),
        "untrained": random.value.ravel(),
    }
    return pa.table({name: pa.array(values.tolist()) for name, values in columns.items()})
