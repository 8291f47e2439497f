"""The results of searches for anomalies: quantiles over draws and trainings, control without signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.analyses.anomaly import Key
from hepfm.methods.anomaly.outcome import GRID
from hepfm.metrics.intervals import clopper_pearson

Floats = npt.NDArray[np.float64]
Outcome = Mapping[str, Any]
"""What `hepfm.methods.anomaly.outcome.outcome` returns."""

FALSE = 0.05
"""The p-value below which a search without signal is a false positive."""
LEVEL = 0.95
"""Of the interval of the rate of false positives."""


@dataclass(frozen=True)
class Quantiles:
    """Median and the central 68 % over draws and trainings; of `count` values."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Quantiles | None:
        """Return the quantiles of the values that there are; None of none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        low, median, high = np.quantile(known, [0.16, 0.5, 0.84])
        return cls(float(median), float(low), float(high), len(known))


@dataclass(frozen=True)
class Rate:
    """A fraction of draws with its Clopper-Pearson interval."""

    passed: int
    total: int

    @property
    def value(self) -> float:
        """The fraction."""
        return self.passed / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %."""
        return clopper_pearson(self.passed, self.total, level=LEVEL)

    @classmethod
    def of(cls, values: Sequence[float | None], below: float = FALSE) -> Rate | None:
        """Return the fraction of known values below a number; None of none."""
        known = [value for value in values if value is not None]
        return cls(sum(value < below for value in known), len(known)) if known else None


@dataclass(frozen=True)
class SearchGroup:
    """All searches by one method with one number of signal events.

    Attributes
    ----------
    method, signals
        Which.
    outcomes
        By draw and training.
    """

    method: str
    signals: int
    outcomes: tuple[Outcome, ...]

    @property
    def fraction(self) -> float:
        """Signal over background events in the signal region, the mean over draws."""
        events = [one["events"] for one in self.outcomes]
        return float(
            np.mean([one["injected_region"] / (one["region"] - one["injected_region"]) for one in events])
        )

    @property
    def significance(self) -> float:
        """S / sqrt(B) in the signal region before any cut, the mean over draws."""
        events = [one["events"] for one in self.outcomes]
        return float(
            np.mean(
                [one["injected_region"] / np.sqrt(one["region"] - one["injected_region"]) for one in events]
            )
        )

    def best(self, key: str = "improvement") -> Quantiles | None:
        """Return the largest improvement, or what belongs to it."""
        return Quantiles.of([one["best"] and one["best"][key] for one in self.outcomes])

    @property
    def curve(self) -> tuple[Floats, Floats, Floats]:
        """16 %, 50 % and 84 % quantiles of the improvement on the grid; NaN where half of the draws have
        none."""
        values = np.array([one["curve"] for one in self.outcomes], np.float64) / np.sqrt(GRID)
        found = np.full((3, len(GRID)), np.nan)
        enough = np.isfinite(values).sum(axis=0) * 2 > len(values)
        found[:, enough] = np.nanquantile(values[:, enough], [0.16, 0.5, 0.84], axis=0)
        low, median, high = found
        return low, median, high

    @property
    def signal_curve(self) -> Floats:
        """Median signal efficiency on the grid."""
        return np.asarray(self.curve[1] * np.sqrt(GRID))

    def of_hunt(self, cut: int, key: str) -> list[float | None]:
        """Return a number of the bump hunts after a cut."""
        return [one["cuts"][cut]["hunt"] and one["cuts"][cut]["hunt"][key] for one in self.outcomes]

    def of_bump(self, cut: int, end: int) -> list[float | None]:
        """Return an end of the most significant bump after a cut: 0 is the lower one."""
        hunts = [one["cuts"][cut]["hunt"] for one in self.outcomes]
        return [hunt["bump"][end] if hunt and hunt["bump"] else None for hunt in hunts]

    def of_cut(self, cut: int, key: str) -> list[float | None]:
        """Return a number of a cut."""
        return [one["cuts"][cut][key] for one in self.outcomes]

    def of_sculpting(self, cut: int, key: str) -> list[float | None]:
        """Return a number of the sculpting after a cut."""
        values = [
            one["cuts"][cut]["sculpting"] and one["cuts"][cut]["sculpting"][key] for one in self.outcomes
        ]
        return [value if value is not None and np.isfinite(value) else None for value in values]

    def coverage(self, cut: int) -> Rate | None:
        """Return how often the upper limit is above the number of injected events."""
        limits = [None if limit is None else -limit for limit in self.of_hunt(cut, "limit")]
        return Rate.of(limits, below=-self.signals + 1e-9)


def groups(outcomes: Mapping[Key, Outcome]) -> list[SearchGroup]:
    """Return the searches by method and number of signal events, in their order."""
    found: dict[tuple[str, int], list[Outcome]] = {}
    for key, one in outcomes.items():
        found.setdefault((key.method, key.signals), []).append(one)
    return [SearchGroup(method, signals, tuple(ones)) for (method, signals), ones in found.items()]
