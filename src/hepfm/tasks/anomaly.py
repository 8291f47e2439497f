"""Anomaly detection: the distance of a row from unlabelled training rows, by the summary of a fixed network.

As in jBOT (2601.11719): a network that was pre-trained without labels is asked how unlike a bank of training
rows a test row is. The true classes enter nothing but the measurement. Options are never to be scanned on
test rows: with labels one of many scores is always a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import pydantic

from hepfm.core.config import Component, ComponentOf
from hepfm.core.errors import DataError, ModelError
from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Level, Schema
from hepfm.data.row_selection import Only, RowSelection, only_words, selected_rows
from hepfm.data.store import Store
from hepfm.metrics.auc import binary_auc, binary_auc_statistic
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.metrics.significance import (
    signal_efficiency,
    signal_efficiency_statistic,
    significance_improvement,
    significance_improvement_statistic,
)
from hepfm.tasks.anomaly_scores import ANOMALY_SCORES
from hepfm.tasks.anomaly_scores.base import AnomalyScore
from hepfm.tasks.anomaly_scores.log_sum_exp import directions
from hepfm.tasks.base import ModelNeeds
from hepfm.tasks.baselines import ROW
from hepfm.tasks.result import MetricInfo
from hepfm.tasks.sides import Efficiency, SidesConfig, SignalTask
from hepfm.tasks.subject import Scorer, Subject
from hepfm.tasks.tagging_metrics import ScoreMetric, percent_text
from hepfm.train.row_baseline import inputs_of, read_inputs

_IMPROVEMENT = "significance_improvement"

Vectors = Callable[[Store, IntArray], Array]
"""Rows of a store to vectors, shape (R, D)."""


class AnomalyConfig(SidesConfig):
    """Options of `Anomaly`, beside those of `SidesConfig`.

    Attributes
    ----------
    score
        How distance is measured: component spec of ``knn``, ``log_sum_exp``, ``mahalanobis`` or
        ``gaussian_mixture``.
    bank
        Most training rows in the bank, a seeded draw; 20,000 in jBOT's public code (2601.11719).
    reference
        A field and one or more of its classes: only such training rows fill the bank. All rows when null. To
        choose them by the true class is an idealisation.
    seed
        Of the draw.
    background_efficiencies
        Background efficiencies at which the signal efficiency is measured, and the significance improvement.
    """

    score: Annotated[Component, ComponentOf(ANOMALY_SCORES, default="knn")] = pydantic.Field(
        "knn",
        validate_default=True,
    )
    bank: int = pydantic.Field(20_000, ge=2)
    reference: Only | None = None
    seed: int = pydantic.Field(0, ge=0)
    background_efficiencies: tuple[Efficiency, ...] = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class DistanceScorer:
    """Orders rows by their distance from the rows of a bank.

    Attributes
    ----------
    vectors
        What the distance is measured between.
    distance
        The distance, fitted to the bank.
    signal, background
        Classes that share the two probabilities.
    name, title
        What a baseline is called.
    """

    vectors: Vectors
    distance: AnomalyScore
    signal: tuple[str, ...]
    background: tuple[str, ...]
    name: str = ""
    title: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`."""
        return (*self.background, *self.signal)

    def score(self, store: Store, rows: IntArray) -> Array:
        """Return class probabilities of rows, shape (R, K).

        The signal's is the rank of the distance among these rows, shared evenly by its classes: a distance
        tells no probability, and the metrics use the order alone.
        """
        from scipy.stats import rankdata  # a second to import

        distance = self.distance(finite_vectors(self.vectors, store, rows))
        signal = (rankdata(distance) - 0.5) / len(rows)
        parts = [(1 - signal) / len(self.background)] * len(self.background)
        parts += [signal / len(self.signal)] * len(self.signal)
        return np.stack(parts, axis=1)


class Anomaly(SignalTask):
    """Signal against background by the distance from a bank of training rows.

    Embeddings are divided by their length. The baseline measures the same distance between the few numbers of
    the whole row, which are standardised on the bank.
    """

    Config = AnomalyConfig
    name = "anomaly"
    version = 1
    primary = "auc"
    heading = "Anomalies by"

    config: AnomalyConfig

    def _title(self) -> str:
        reference = self.config.reference
        bank = f", bank of {only_words(reference)}" if reference else ""
        return f"{super()._title()}, {self.config.score.name}{bank}"

    @property
    def needs(self) -> ModelNeeds:
        """A backbone."""
        return ModelNeeds(embedding=True)

    @property
    def fields(self) -> tuple[str, ...]:
        """The label, and the fields that say which rows count and which fill the bank."""
        return tuple(dict.fromkeys((*super().fields, *(self.config.reference or ())[:1])))

    def objective(self) -> dict[str, Any] | None:  # type: ignore[override]
        """Return None: whatever trains a backbone will do."""
        return None

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return the AUC and the efficiencies of all signals together, then of each where there are more."""
        signals = self.config.signal
        groups = [("", signals), *((name, (name,)) for name in signals if len(signals) > 1)]
        return tuple(metric for group, chosen in groups for metric in self._metrics_of(group, chosen))

    def _metrics_of(self, group: str, signal: tuple[str, ...]) -> list[ScoreMetric]:
        def metric(name: str, title: str, measure: Any, statistic: Any, **options: Any) -> ScoreMetric:
            made = ScoreMetric(
                name=name,
                title=title,
                measure=partial(self._of_sides, measure, signal, options),
                statistic=partial(self._of_sides, statistic, signal, options),
            )
            of = made.of_group(group)
            return replace(made, name=of.name, title=of.title)

        found = [metric("auc", "AUC", binary_auc, binary_auc_statistic)]
        for efficiency in self.config.background_efficiencies:
            at = {"efficiency": efficiency}
            text, title = percent_text(efficiency), f"at ε_B = {efficiency:g}"
            found += [
                metric(
                    f"efficiency_{text}",
                    f"ε_S {title}",
                    signal_efficiency,
                    signal_efficiency_statistic,
                    **at,
                ),
                replace(
                    metric(
                        f"{_IMPROVEMENT}_{text}",
                        f"ε_S/√ε_B {title}",
                        significance_improvement,
                        significance_improvement_statistic,
                        **at,
                    ),
                    scale="ratio",
                ),
            ]
        return found

    def _measure(self, predictions: Predictions, observers: Mapping[str, Array]) -> tuple[MetricInfo, ...]:
        """Leave improvements, which are efficiencies in another unit, out of the tables of a report."""
        infos = super()._measure(predictions, observers)
        return tuple(info.model_copy(update={"detail": info.name.startswith(_IMPROVEMENT)}) for info in infos)

    def _of_sides(
        self,
        function: Callable[..., Measurement | Statistic],
        signal: Sequence[str],
        options: dict[str, Any],
        predictions: Predictions,
    ) -> Any:
        sides, one, other = self.sides(predictions, signal=signal)
        return function(sides, signal=one, background=other, **options)

    def _check_fields(self, schema: Schema, where: str) -> None:
        super()._check_fields(schema, where)
        if self.config.reference:
            RowSelection.of(self.config.reference, schema, where=where)

    def _scorer(self, subject: Subject, store: Store) -> Scorer:
        def vectors(source: Store, rows: IntArray) -> Array:
            return directions(subject.embed(source, rows).astype(np.float64))

        return self._fitted(vectors, store, self._bank(store))

    def _answers(self, subject: Subject, store: Store) -> Sequence[DistanceScorer]:
        """Return the distance of the few numbers of the whole row; none where rows have no constituents."""
        if not store.schema.names(Level.CONSTITUENT):
            return ()
        rows, limit = self._bank(store), np.iinfo(np.int64).max
        bank_RC = read_inputs(store, rows, max_constituents=limit)
        centre, scale = bank_RC.mean(axis=0), np.maximum(bank_RC.std(axis=0), 1e-6)

        def vectors(source: Store, rows: IntArray) -> Array:
            return (read_inputs(source, rows, max_constituents=limit) - centre) / scale

        count = len(inputs_of(store.schema))
        title = f"the same distance of {count} number{'s' if count > 1 else ''} of the row"
        return (replace(self._fitted(vectors, store, rows), name=ROW, title=title),)

    def _fitted(self, vectors: Vectors, store: Store, rows: IntArray) -> DistanceScorer:
        distance: AnomalyScore = self.config.score.cls(self.config.score.config)
        distance.fit(finite_vectors(vectors, store, rows))
        return DistanceScorer(vectors, distance, self.config.signal, self.config.background)

    def _bank(self, store: Store) -> IntArray:
        """Return the rows of the bank, rising."""
        config = self.config
        rows = selected_rows(store, np.asarray(store.split("train"), np.int64), config.reference)
        if not len(rows):
            which = f" that has {only_words(config.reference)}" if config.reference else ""
            raise DataError(f"{store.path} has no training row{which}; the bank of {self.name!r} needs some")
        if len(rows) <= config.bank:
            return rows
        draw = numpy_generator(config.seed, "tasks.anomaly.bank")
        return np.sort(draw.choice(rows, config.bank, replace=False))


def finite_vectors(vectors: Vectors, store: Store, rows: IntArray) -> FloatArray:
    """Return the vectors of rows; raise `ModelError` when a number in them is not finite."""
    values = np.asarray(vectors(store, rows), np.float64)
    bad = int((~np.isfinite(values).all(axis=1)).sum())
    if bad:
        raise ModelError(f"{bad} of {len(rows)} embeddings are NaN or infinite; the network cannot be used")
    return values
