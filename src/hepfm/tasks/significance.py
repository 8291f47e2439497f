"""The search for a signal: what a score is worth when events are counted, at a luminosity and cross
sections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.ragged import Array
from hepfm.data.cross_sections import passing_cross_sections
from hepfm.data.store import Store
from hepfm.data.weights import read_weights
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.tasks.result import ResultFile
from hepfm.tasks.result_folder import read_observers, read_scores
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.sides import SidesConfig, SignalTask
from hepfm.tasks.subject import Scorer
from hepfm.tasks.tagging_metrics import ScoreMetric, search_metrics

EXPECTED = "expected_events"
"""Column of the scores: the expected number of events that a row stands for."""


class SignificanceConfig(SidesConfig):
    """Options of `Significance`, beside those of `SidesConfig`.

    Attributes
    ----------
    luminosity
        Integrated luminosity, 1/fb.
    cross_sections
        Cross section of the events of each class that are in the store, fb: that of the process times the
        fraction that passes the selection. Classes that are not named have what the simulation says.
    background_uncertainty
        Relative uncertainty of the expected background, independent from bin to bin.
    least_background
        Background rows of a bin, and above the threshold of the largest improvement, at least.
    """

    luminosity: float = pydantic.Field(140.0, gt=0)
    cross_sections: dict[str, float] = pydantic.Field(default_factory=dict)
    background_uncertainty: float = pydantic.Field(0.1, ge=0, lt=1)
    least_background: int = pydantic.Field(10, ge=1)

    @pydantic.field_validator("cross_sections")
    @classmethod
    def _positive(cls, values: dict[str, float]) -> dict[str, float]:
        bad = [name for name, value in values.items() if not value > 0]
        if bad:
            raise ValueError(f"cross sections are above 0; those of {', '.join(bad)} are not")
        return values


class Significance(SignalTask):
    """Signal against background with as many events of each class as are expected.

    The score of a row is the probability of the signal classes over that of all that are compared. Rows are
    weighted: those of a class together are its cross section times the luminosity, shared out by their event
    weights. The row baseline is measured likewise.
    """

    Config = SignificanceConfig
    name = "significance"
    version = 1
    primary = "expected_significance"
    heading = "Search for a signal in"
    observers: ClassVar[tuple[str, ...]] = ("event_resonance_mass",)

    config: SignificanceConfig

    def _title(self) -> str:
        uncertainty = f"background known to {100 * self.config.background_uncertainty:g} %"
        return f"{super()._title()}, {self.config.luminosity:g}/fb, {uncertainty}"

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return the expected significance, the largest improvement and the area under the ROC curve."""
        metrics = search_metrics(
            signal=" or ".join(self.config.signal),
            background=" or ".join(self.config.background),
            uncertainty=self.config.background_uncertainty,
            least_background=self.config.least_background,
        )
        return tuple(map(self._merged, metrics))

    def _merged(self, metric: ScoreMetric) -> ScoreMetric:
        """Return a metric of two classes for predictions of all classes of both sides."""
        return replace(
            metric,
            measure=lambda predictions: metric.measure(self.sides(predictions)[0]),
            statistic=lambda predictions: metric.statistic(self.sides(predictions)[0]),
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the scored rows of a result, weighted by their expected events."""
        predictions, rows = read_scores(folder, result)
        expected = read_observers(folder, result, [EXPECTED])[EXPECTED].astype(np.float64)
        weighted = replace(predictions, weights=expected)
        return RowStatistics(rows, weighted.labels, expected, self.statistics(weighted), weighted.groups)

    def _predictions(
        self, scorer: Scorer, store: Store, rows: IntArray, weights: FloatArray | None
    ) -> Predictions:
        plain = super()._predictions(scorer, store, rows, weights)
        return replace(plain, weights=self._expected_of_rows(store, rows))

    def _observed(self, store: Store, rows: IntArray) -> dict[str, Array]:
        return {**super()._observed(store, rows), EXPECTED: self._expected_of_rows(store, rows)}

    def _expected_of_rows(self, store: Store, rows: IntArray) -> FloatArray:
        """Return the expected number of events that each row stands for."""
        labels, weights = self._labels(store, rows), read_weights(store, rows)
        weights = np.ones(len(rows)) if weights is None else weights
        totals = np.bincount(labels, weights, minlength=len(self.classes))
        each: FloatArray = weights * (self._expected(store) / totals)[labels]
        return each

    def _expected(self, store: Store) -> FloatArray:
        """Return the expected number of events of each class."""
        given = self.config.cross_sections
        unknown = [name for name in given if name not in self.classes]
        if unknown:
            raise ConfigError(
                f"cross_sections names {unknown[0]!r}, which is not compared"
                f"{did_you_mean(unknown[0], self.classes)}"
            )
        known = {**passing_cross_sections(store.provenance), **given}
        missing = [name for name in self.classes if name not in known]
        if missing:
            raise ConfigError(
                f"{store.path} does not tell the cross sections of {', '.join(missing)}; give them, in fb "
                f"after the selection: cross_sections={{{missing[0]}: 12.3}}"
            )
        return self.config.luminosity * np.array([known[name] for name in self.classes])
