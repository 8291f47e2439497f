"""The table of differences: against scratch, against the best arm, effects, registered contrasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hepfm.metrics.measurement import Measurement
from hepfm.report.difference import Difference
from hepfm.report.formats import labels_text, p_value, significant
from hepfm.report.table import Cell, Column, ReportTable, in_file, on_page, text
from hepfm.tasks.result import MetricInfo

TIMES = "\N{MULTIPLICATION SIGN}"

HOW = (
    "Trainings with equal seeds share the draw of labels, so arms are compared pair by pair. Mean: over "
    "pairs; a difference, or a ratio for 1/ε_B. 95% over trainings: interval of that mean, Student's t "
    "widened for skewness; p belongs to it. 95% over test rows: paired bootstrap, all models share the "
    "resampled rows. 'better' and 'worse' need a Holm-corrected p below 0.05 and an interval over test rows "
    "that excludes no difference (0, or ratio 1)."
)
NO_SCORES = (
    " What is generated has no scores of single test rows, so trainings alone decide: the error of the "
    "finite samples is in their spread, that of the common reference is not."
)


def difference_table(
    differences: Sequence[Difference],
    *,
    note: str,
    scored: bool,
    name: str = "",
    more: Sequence[Difference] = (),
) -> list[ReportTable[Difference]]:
    """Return the table of corrected differences; nothing without differences.

    Parameters
    ----------
    differences
        Those of one family or one metric together.
    note
        Added to the caption: what is compared and how it is corrected.
    scored
        Whether test rows have scores.
    name, more
        CSV file, and differences in that file alone.
    """
    if not differences:
        return []
    families = any(difference.family for difference in differences)
    return [
        ReportTable(
            (*(FAMILY if families else ()), *COLUMNS),
            tuple(differences),
            caption=HOW + ("" if scored else NO_SCORES) + note,
            name=name,
            more=tuple(more),
            group=_family if families else lambda difference: difference.metric.name,
        )
    ]


def written(metric: MetricInfo) -> Callable[[float], str]:
    """Return how a difference by this metric is written: with its sign, or as a factor."""
    if metric.scale == "ratio":
        return lambda value: f"{TIMES}{significant(value)}"
    if metric.better == "lower":
        return lambda value: f"{'-' if value < 0 else '+'}{significant(abs(value))}"
    return lambda value: f"{value:+.4f}"


def mean_text(difference: Difference) -> str:
    """Return the mean over pairs of trainings for people."""
    value = difference.over_trainings.value
    return "none" if value is None else written(difference.metric)(value)


def _ends(difference: Difference, measured: Measurement) -> str:
    """Return an interval for people; an open end says so."""
    low, high, write = measured.low, measured.high, written(difference.metric)
    if low is None and high is None:
        return "none"
    return f"{'open' if low is None else write(low)} to {'open' if high is None else write(high)}"


def _over_rows(difference: Difference) -> str:
    return "no scores" if difference.test is None else _ends(difference, difference.test)


def _end(difference: Difference, end: str) -> Cell:
    return None if difference.test is None else getattr(difference.test, end)


def _family(difference: Difference) -> str:
    return f"{difference.family} ({difference.where})"


FAMILY: tuple[Column[Difference], ...] = (
    text("family", "family", lambda one: one.family, _family),
    in_file("panel", lambda one: one.where),
)

COLUMNS: tuple[Column[Difference], ...] = (
    text("metric", "metric", lambda one: one.metric.name, lambda one: one.metric.title),
    in_file("scale", lambda one: one.metric.scale),
    text("comparison", "comparison", lambda one: one.contrast.name),
    in_file("plus", lambda one: " ".join(one.contrast.plus)),
    in_file("minus", lambda one: " ".join(one.contrast.minus)),
    Column("verdict", "verdict", lambda one: one.verdict, kind="verdict"),
    Column("labels", "labels", lambda one: one.budget, lambda one: labels_text(one.budget)),
    Column("pairs", "pairs", lambda one: one.over_trainings.n),
    Column("mean", "mean", lambda one: one.over_trainings.value, mean_text),
    on_page("95% over trainings", lambda one: _ends(one, one.over_trainings)),
    in_file("trainings_low", lambda one: one.over_trainings.low),
    in_file("trainings_high", lambda one: one.over_trainings.high),
    on_page("95% over test rows", _over_rows),
    in_file("test_low", lambda one: _end(one, "low")),
    in_file("test_high", lambda one: _end(one, "high")),
    Column("p", "p", lambda one: one.p, lambda one: p_value(one.p)),
    Column("p (Holm)", "p_holm", lambda one: one.adjusted_p, lambda one: p_value(one.adjusted_p)),
    in_file("margin", lambda one: one.margin),
    in_file("p_equivalence", lambda one: one.equivalence_p),
    in_file("p_equivalence_holm", lambda one: one.adjusted_equivalence),
)
