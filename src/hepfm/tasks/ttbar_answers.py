"""What is said of top pairs, and how it is measured: errors of all events, and of those with a solution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np

from hepfm.core.ragged import Array
from hepfm.metrics.bootstrap import Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.tasks.base import TaskMetric
from hepfm.tasks.result import MetricInfo
from hepfm.tasks.result_folder import ROW_GROUP
from hepfm.tasks.row_values import RowValues
from hepfm.tasks.ttbar_events import Bools
from hepfm.tasks.ttbar_quantities import METRICS, TopPairMetric

SOLVED = "solved"
"""Group of the events that have an analytic solution."""

FRACTIONS = (
    TaskMetric(name="pairing", title="pairing efficiency, all events"),
    TaskMetric(name="pairing_matched", title="pairing efficiency, matched events"),
    TaskMetric(name="solved", title="fraction of events with a solution"),
)


@dataclass(frozen=True)
class TopPairAnswer:
    """What something says of R events.

    Attributes
    ----------
    errors
        Errors of each quantity, (R, 1) or (R, 2).
    answered
        Of which events it says anything.
    right
        Whether the jets that it takes for the b quarks of top and antitop are those; None if it takes none.
    """

    errors: dict[str, Array]
    answered: Bools
    right: Bools | None


@dataclass(frozen=True)
class TopPairRows:
    """The R events that are measured.

    Attributes
    ----------
    solved
        Which have an analytic solution.
    matched
        Of which both b quarks and both leptons are matched with what was reconstructed.
    weights, groups
        Event weights, and groups that are resampled together; None without.
    """

    solved: Bools
    matched: Bools
    weights: FloatArray | None
    groups: IntArray | None

    @classmethod
    def of(cls, table: Mapping[str, Array]) -> tuple[Self, TopPairAnswer]:
        """Return what a table of `columns` was made of."""
        names = dict.fromkeys(one.quantity for one in METRICS)
        found = {
            name: np.stack([table[f"{name}_{k}"] for k in range(2) if f"{name}_{k}" in table], axis=1)
            for name in names
        }
        rows = cls(table["solved"], table["matched"], table.get("weight"), table.get(ROW_GROUP))
        return rows, TopPairAnswer(found, table["answered"], table["right"])

    def columns(self, answer: TopPairAnswer) -> dict[str, Array]:
        """Return what is kept of each event."""
        assert answer.right is not None
        values = {
            f"{name}_{k}": column for name, both in answer.errors.items() for k, column in enumerate(both.T)
        }
        flags = {
            "solved": self.solved,
            "matched": self.matched,
            "answered": answer.answered,
            "right": answer.right,
        }
        optional = {"weight": self.weights, ROW_GROUP: self.groups}
        return {**values, **flags, **{name: kept for name, kept in optional.items() if kept is not None}}

    @property
    def ones(self) -> FloatArray:
        """The weights; ones without any."""
        return np.ones(len(self.solved)) if self.weights is None else self.weights

    def measure(self, answer: TopPairAnswer) -> tuple[MetricInfo, ...]:
        """Return the measurements that an answer has: of all events that it answers, and of solved ones."""
        found = [
            one.metric.info(self._measured(one, answer, chosen), group)
            for group, chosen in self._parts(answer)
            for one in METRICS
        ]
        fractions = self._fractions(answer)
        kept = [metric for metric in FRACTIONS if metric.name in fractions]
        return *found, *(metric.info(self._passed(metric.name, fractions[metric.name])) for metric in kept)

    def _parts(self, answer: TopPairAnswer) -> Iterator[tuple[str, Bools]]:
        """Yield the groups of events that something is said of, and which they are."""
        for group, chosen in (("", answer.answered), (SOLVED, answer.answered & self.solved)):
            if chosen.any():
                yield group, chosen

    def _passed(self, name: str, fraction: Statistic) -> Measurement:
        definition = f"top_pairs.{name}.v1"
        return bootstrap_measurement(fraction, self.ones, definition=definition, groups=self.groups)

    def _measured(self, one: TopPairMetric, answer: TopPairAnswer, chosen: Bools) -> Measurement:
        definition = f"top_pairs.v1.{one.metric.name}"
        return self._values(one, answer, chosen).measurement(one.statistic, definition=definition)

    def _values(self, one: TopPairMetric, answer: TopPairAnswer, chosen: Bools) -> RowValues:
        values = np.where(chosen[:, None], answer.errors[one.quantity], np.nan)
        return RowValues(values, self.weights, self.groups)

    def statistics(self, answer: TopPairAnswer) -> dict[str, Statistic]:
        """Return the metrics as functions of the weights of events."""
        found = {
            one.metric.of_group(group).name: self._values(one, answer, chosen).statistic(one.statistic)
            for group, chosen in self._parts(answer)
            for one in METRICS
        }
        return {**found, **self._fractions(answer)}

    def _fractions(self, answer: TopPairAnswer) -> dict[str, Statistic]:
        every = np.ones_like(self.solved)
        fractions: dict[str, Statistic] = {"solved": partial(_fraction, answer.answered, every)}
        if answer.right is not None:
            right = answer.right & self.matched
            fractions["pairing"] = partial(_fraction, right, every)
            if self.matched.any():
                fractions["pairing_matched"] = partial(_fraction, right, self.matched)
        return fractions


def _fraction(passed: Bools, of: Bools, weights: FloatArray) -> float:
    total = float(weights[of].sum())
    return float(weights[of & passed].sum()) / total if total else float("nan")
