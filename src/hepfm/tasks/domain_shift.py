"""Domain shift: how far apart two samples are in the space of a fixed network's embeddings.

As in RINO (2509.07486): a network whose embeddings tell a simulation from data, or one generator from
another, carries the difference into whatever is tuned on it. Samples are compared class by class, or a
different mixture of classes would pass for a shift. Small distances alone say nothing: a network that embeds
all rows alike has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.log import progress
from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Level, Schema
from hepfm.data.row_selection import Only, RowSelection, only_words, selected_rows
from hepfm.data.store import Store
from hepfm.data.weights import AUTO, effective_rows, weighed
from hepfm.metrics.bootstrap import RESAMPLES, bootstrap_weights, finite, percentile_interval
from hepfm.metrics.domain_shift import A_DISTANCE, MMD, a_distance, held_out_correct, median_distance, rbf_mmd
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.tasks.anomaly import Vectors, finite_vectors
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.baselines import ROW
from hepfm.tasks.domains import LEAST_GROUPS, Bools, Domain, Domains, halves
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, MetricInfo
from hepfm.tasks.subject import Subject
from hepfm.train.row_baseline import inputs_of, read_inputs

_A, _MMD, _FLOOR = "a_distance", "mmd", "_floor"


class DomainShiftConfig(BaseConfig):
    """Options of `DomainShift`.

    Attributes
    ----------
    against
        What the rows of the store are compared with: path of another store or, with `variation`, a class.
    variation
        The categorical field of the rows that says which domain a row is of; null for another store.
    nominal
        With `variation` the class that is compared with `against`.
    by_class
        Whether rows are compared class by class; otherwise all of them together.
    field
        The field of these classes, matched by name; the label of the store's schema when null.
    only
        A field and one or more of its classes: other rows do not count.
    rows
        Most rows of each class and domain, a seeded draw; 5,000 in RINO's public code (2509.07486).
    seed
        Of the draws.
    fingerprint
        Of the other store, filled in when the task is bound: results against other rows are not comparable.
    """

    against: str | None = None
    variation: str | None = None
    nominal: str = "nominal"
    by_class: bool = True
    field: str | None = None
    only: Only | None = None
    rows: int = pydantic.Field(5_000, ge=LEAST_GROUPS)
    seed: int = pydantic.Field(0, ge=0)
    fingerprint: str | None = None


class DomainShift(Task):
    """Distances of two samples of embeddings: proxy A-distance and squared MMD, and those of chance.

    Vectors are standardised class by class. The floor compares two halves of the first domain by the same
    measures. The baseline measures the few numbers of the whole row in place of the embedding.
    """

    Config = DomainShiftConfig
    name = "domain_shift"
    version = 1
    primary = _A

    config: DomainShiftConfig

    def __init__(self, config: DomainShiftConfig | None = None) -> None:
        super().__init__(config)
        self.title = self._title()

    def _title(self) -> str:
        config = self.config
        other = Path(config.against or "").name
        pair = f"{config.variation}, {config.nominal}" if config.variation else "the store"
        only = f", {only_words(config.only)} only" if config.only else ""
        return f"Domain shift of embeddings: {pair} against {other or 'another one'}{only}"

    @property
    def needs(self) -> ModelNeeds:
        """A backbone."""
        return ModelNeeds(embedding=True)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the domains, of the classes, and of the rows that count."""
        config = self.config
        names = (config.variation, config.field if config.by_class else None, (config.only or (None,))[0])
        return tuple(dict.fromkeys(name for name in names if name))

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return both distances and their floors, means over classes; of one class with its name behind."""
        found = (
            TaskMetric(name=_A, title="proxy A-distance", better="lower"),
            TaskMetric(name=_MMD, title="MMD²", better="lower"),
        )
        floors = (
            replace(one, name=f"{one.name}{_FLOOR}", title=f"{one.title} of two halves (chance)")
            for one in found
        )
        return (*found, *floors)

    def metric(self, name: str) -> TaskMetric:
        """Return a metric by its name, of all classes or, with ``_CLASS`` behind it, of one."""
        known = {metric.name: metric for metric in self.metrics()}
        of_class = [metric for metric in known.values() if name.startswith(f"{metric.name}_")]
        if name in known or not of_class:
            return super().metric(name)
        longest = max(of_class, key=lambda metric: len(metric.name))
        return longest.of_group(name.removeprefix(f"{longest.name}_"))

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task with the field of the classes and the other store's fingerprint filled in."""
        config = self.config
        field = (config.field or schema.label) if config.by_class else None
        bound = self.__class__(config.model_copy(update={"field": field}))
        super(DomainShift, bound).bind(schema, where=where)
        if config.by_class and field is None:
            raise DataError(
                f"{where} names no label; say which field holds the classes: field=NAME (--field NAME), or "
                "compare all rows together: by_class=false (--by-class false)"
            )
        if config.against is None:
            raise ConfigError(
                f"say what the rows of {where} are compared with: against=STORE (--against STORE), or a "
                "field and its class: variation=NAME, against=CLASS (--variation NAME --against CLASS)"
            )
        bound._check_classes(schema, where)
        return bound if config.variation else bound._bound_to_store(config.against)

    def _check_classes(self, schema: Schema, where: str) -> None:
        """Raise `DataError` unless the schema has the classes that the options name."""
        config = self.config
        if config.variation:
            RowSelection.of((config.variation, config.nominal, str(config.against)), schema, where=where)
            if config.nominal == config.against:
                raise ConfigError(f"{config.nominal!r} is compared with itself; name another class: against=")
        if self.config.field:
            field = schema[self.config.field]
            if field.level is not schema.row or not field.classes:
                raise DataError(
                    f"{field.name!r} of {where} holds no classes of the {schema.row}; name a field that does "
                    "(--field NAME), or compare all rows together (--by-class false)"
                )
        if config.only:
            RowSelection.of(config.only, schema, where=where)

    def _bound_to_store(self, path: str) -> Self:
        other = Store.open(path)
        super().bind(other.schema, where=f"the store {path}")
        self._check_classes(other.schema, f"the store {path}")
        if self.config.fingerprint not in (None, other.fingerprint):
            raise DataError(f"{path} holds other rows than the task was bound to; leave fingerprint out")
        return self.__class__(self.config.model_copy(update={"fingerprint": other.fingerprint}))

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Measure the distances between the embeddings of the domains, and between their few numbers."""
        domains = self._domains(store)
        weighted = any(one.store.schema.weight for one in domains.each())
        counts = np.bincount(domains.label, minlength=len(domains.classes)).tolist()
        return Measured(
            metrics=self._measure(domains, subject.embed),
            rows=len(domains.label),
            rows_per_class={name: n for name, n in zip(domains.classes, counts, strict=True) if name},
            effective_rows=effective_rows(domains.weights) if weighted else None,
            baselines=self._baselines(domains),
        )

    def _domains(self, store: Store) -> Domains:
        config = self.config
        against = str(config.against)
        if config.variation is not None:
            named = ((config.variation, name) for name in (config.nominal, against))
            first, second = (Domain.of(store, self._rows(store, one), config.field) for one in named)
        else:
            other = weighed(Store.open(against), AUTO)
            if other.path.resolve() == store.path.resolve():
                raise ConfigError(f"{against} is compared with itself; name another store: against=")
            first, second = (Domain.of(of, self._rows(of), config.field) for of in (store, other))
        return Domains.drawn(first, second, limit=config.rows, rng=self._rng)

    def _rows(self, store: Store, domain: Sequence[str] | None = None) -> IntArray:
        """Return the test rows that count, those of one domain where it is a class."""
        rows = np.asarray(store.split(self.split), np.int64)
        return selected_rows(store, selected_rows(store, rows, self.config.only), domain)

    def _baselines(self, domains: Domains) -> tuple[Baseline, ...]:
        """Return the same of the few numbers of the row; none where a store lacks them."""
        schemas = [one.store.schema for one in domains.each()]
        names = [inputs_of(schema) for schema in schemas]
        if names[0] != names[1] or not all(schema.names(Level.CONSTITUENT) for schema in schemas):
            return ()

        def numbers(store: Store, rows: IntArray) -> Array:
            return read_inputs(store, rows, max_constituents=np.iinfo(np.int64).max)

        title = f"the same of {len(names[0])} number{'s' if len(names[0]) > 1 else ''} of the row"
        return (Baseline(name=ROW, title=title, metrics=self._measure(domains, numbers)),)

    def _measure(self, domains: Domains, of: Vectors) -> tuple[MetricInfo, ...]:
        """Measure every distance, mean over classes and of each, with the same resamples for all of them."""
        vectors_ND = domains.vectors(partial(finite_vectors, of))
        label, weights = domains.label, domains.weights
        draws = bootstrap_weights(len(label), groups=domains.groups)
        weights_WN = np.stack([weights, *(counts * weights for counts in draws)])
        found: dict[str, dict[str, FloatArray]] = {}
        with progress(f"distances of {self.name}", len(domains.classes)) as advance:
            for number, name in enumerate(domains.classes):
                found[name] = self._of_class(domains, vectors_ND, weights_WN, label == number)
                advance(1, name or "all rows")
        infos = []
        for metric in self.metrics():
            values = [of_class[metric.name] for of_class in found.values()]
            infos.append(metric.info(_measurement(metric.name, np.mean(values, axis=0), len(label))))
        if len(found) == 1:
            return tuple(infos)
        for metric in self.metrics():
            for number, (name, of_class) in enumerate(found.items()):
                measurement = _measurement(metric.name, of_class[metric.name], int((label == number).sum()))
                infos.append(metric.info(measurement, name, detail=True))
        return tuple(infos)

    def _of_class(
        self, domains: Domains, vectors_ND: FloatArray, weights_WN: FloatArray, chosen: Bools
    ) -> dict[str, FloatArray]:
        """Return the distances of the rows of a class and those of chance, by name for all weightings."""
        x_ND = _standardised(vectors_ND[chosen])
        rows = _Rows(x_ND, domains.is_second[chosen], weights_WN[:, chosen], domains.groups[chosen])
        width = median_distance(x_ND, rng=self._rng("width"))
        nominal = rows.take(~rows.second)
        cut = replace(nominal, second=halves(nominal.groups, self._rng("halves")))
        return {**self._distances(rows, width), **self._distances(cut, width, _FLOOR)}

    def _distances(self, rows: _Rows, width: float, suffix: str = "") -> dict[str, FloatArray]:
        correct = held_out_correct(
            rows.x_ND, rows.second, rows.weights_WN[0], groups_N=rows.groups, rng=self._rng(f"folds{suffix}")
        )
        return {
            f"{_A}{suffix}": a_distance(correct, rows.second, rows.weights_WN),
            f"{_MMD}{suffix}": rbf_mmd(
                rows.x_ND, rows.second, rows.weights_WN, groups_N=rows.groups, width=width
            ),
        }

    def _rng(self, purpose: str) -> np.random.Generator:
        return numpy_generator(self.config.seed, f"tasks.domain_shift.{purpose}")


@dataclass(frozen=True)
class _Rows:
    """Rows of two samples: vectors, which are of the second one, all weightings, groups."""

    x_ND: FloatArray
    second: Bools
    weights_WN: FloatArray
    groups: IntArray

    def take(self, kept: Bools) -> _Rows:
        return _Rows(self.x_ND[kept], self.second[kept], self.weights_WN[:, kept], self.groups[kept])


def _standardised(x_ND: FloatArray) -> FloatArray:
    scaled: FloatArray = (x_ND - x_ND.mean(axis=0)) / np.maximum(x_ND.std(axis=0), 1e-6)
    return scaled


def _measurement(name: str, values_W: FloatArray, n: int) -> Measurement:
    """Return the value of the rows as they are, the first, with the interval of the resamples behind it."""
    definition = A_DISTANCE if name.startswith(_A) else MMD
    low, high = percentile_interval(values_W[1:])
    value = finite(float(values_W[0]))
    return Measurement(value, finite(low), finite(high), n, definition, f"bootstrap 68% ({RESAMPLES})")
