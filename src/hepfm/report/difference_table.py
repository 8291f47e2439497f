"""Differences as a table of the page and as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hepfm.metrics.measurement import Measurement
from hepfm.report import html
from hepfm.report.difference import Difference
from hepfm.report.table import Cell, ReportTable, labels_text, make_table, significant
from hepfm.tasks.result import MetricInfo

TIMES = "\N{MULTIPLICATION SIGN}"

HOW = (
    "Trainings with equal seeds share the draw of labels, so arms are compared pair by pair. Mean: over "
    "pairs; a difference, or a ratio for 1/ε_B. 95% over trainings: interval of that mean, Student's t "
    "widened for skewness; p belongs to it. 95% over test jets: paired bootstrap, all models share the "
    "resampled jets. 'better' and 'worse' need a Holm-corrected p below 0.05 and an interval over test jets "
    "that excludes no difference (0, or ratio 1)."
)
NO_SCORES = (
    " What is generated has no scores of single test rows, so trainings alone decide: the error of the "
    "finite samples is in their spread, that of the common reference is not."
)

HEADER = (
    "metric",
    "comparison",
    "verdict",
    "labels",
    "pairs",
    "mean",
    "95% over trainings",
    "95% over test jets",
    "p",
    "p (Holm)",
)


def difference_table(
    found: Sequence[Difference], *, caption: str, families: Sequence[str] | None = None
) -> str:
    """Return the table for the page; nothing without differences.

    Parameters
    ----------
    found
        Corrected differences, those of one metric together.
    caption
        What is compared and how it is corrected.
    families
        A first column with the family of each; none when None.
    """
    if not found:
        return ""
    rows = [_row(one) for one in found]
    header: tuple[str, ...] = HEADER
    keys = [one.metric.name for one in found]
    if families is not None:
        rows = [[family, *row] for family, row in zip(families, rows, strict=True)]
        header, keys = ("family", *HEADER), list(families)
    firsts = [index for index in range(len(keys)) if index == 0 or keys[index] != keys[index - 1]]
    verdict = header.index("verdict")
    return html.scroll_table(
        header, rows, caption=caption, text_columns=verdict, first_rows=firsts, verdict_column=verdict
    )


def _row(one: Difference) -> list[str]:
    mean, show = one.over_trainings, shown(one.metric)
    return [
        one.metric.title,
        one.contrast.name,
        one.verdict,
        labels_text(one.budget),
        str(mean.n),
        "none" if mean.value is None else show(mean.value),
        ends_text(mean, show),
        "no scores" if one.test is None else ends_text(one.test, show),
        p_text(one.p),
        p_text(one.adjusted_p),
    ]


def shown(metric: MetricInfo) -> Callable[[float], str]:
    """Return how a difference by this metric is written: with its sign, or as a factor."""
    if metric.scale == "ratio":
        return lambda value: f"{TIMES}{significant(value)}"
    if metric.better == "lower":
        return lambda value: f"{'-' if value < 0 else '+'}{significant(abs(value))}"
    return lambda value: f"{value:+.4f}"


def ends_text(measured: Measurement, show: Callable[[float], str]) -> str:
    """Return an interval; an open end says so."""
    low, high = measured.low, measured.high
    if low is None and high is None:
        return "none"
    return f"{'open' if low is None else show(low)} to {'open' if high is None else show(high)}"


def p_text(p: float | None) -> str:
    """Return a p-value for people.

    >>> p_text(0.0312), p_text(0.00002), p_text(None)
    ('0.031', '< 0.0001', 'none')
    """
    if p is None:
        return "none"
    return "< 0.0001" if p < 1e-4 else significant(p, 2)


def differences_csv(
    found: Sequence[Difference], extra: Mapping[str, Sequence[Cell]] | None = None
) -> ReportTable:
    """Return the same numbers in full; `extra` are leading columns."""
    leading = extra or {}
    header = [
        *leading,
        "metric",
        "scale",
        "comparison",
        "plus",
        "minus",
        "labels",
        "verdict",
        "pairs",
        "mean",
        "trainings_low",
        "trainings_high",
        "test_low",
        "test_high",
        "p",
        "p_holm",
        "margin",
        "p_equivalence",
        "p_equivalence_holm",
    ]
    rows = [
        [*(column[index] for column in leading.values()), *_cells(one)] for index, one in enumerate(found)
    ]
    return make_table(header, rows)


def _cells(one: Difference) -> list[Cell]:
    mean, test = one.over_trainings, one.test
    return [
        one.metric.name,
        one.metric.scale,
        one.contrast.name,
        " ".join(one.contrast.plus),
        " ".join(one.contrast.minus),
        one.budget,
        one.verdict,
        mean.n,
        mean.value,
        mean.low,
        mean.high,
        None if test is None else test.low,
        None if test is None else test.high,
        one.p,
        one.adjusted_p,
        one.margin,
        one.equivalence_p,
        one.adjusted_equivalence,
    ]
