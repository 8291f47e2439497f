"""What a task has measured: all that a result file says beside the names of task, model, data and code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from hepfm.tasks.result import Baseline, MetricInfo


@dataclass(frozen=True)
class Measured:
    """Measurements, what stands beside them, and tables that are too long for a result file.

    Attributes
    ----------
    metrics
        The measurements.
    rows
        Number of test rows.
    rows_per_class
        Number of them by class, or by group; empty where rows have neither.
    classes
        Classes in the order of scores; empty where no class is predicted.
    effective_rows
        ``(sum w)^2 / sum w^2``; None for equal weights, and for rows that were drawn by weight.
    baselines
        What trivial answers score on the same rows.
    truth_vs_truth, noise
        What real rows score against other real ones, and what noise scores, by the names of `metrics`.
    tables
        Further files of the result directory by name, ``*.arrow``: scores, predictions, spectra.
    """

    metrics: tuple[MetricInfo, ...]
    rows: int
    rows_per_class: Mapping[str, int]
    classes: tuple[str, ...] = ()
    effective_rows: float | None = None
    baselines: tuple[Baseline, ...] = ()
    truth_vs_truth: tuple[MetricInfo, ...] = ()
    noise: tuple[MetricInfo, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
