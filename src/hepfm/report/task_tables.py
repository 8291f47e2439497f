"""The tables of a task: all numbers, how the arms were trained, label-equivalent factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

from hepfm.report.averages import average_text
from hepfm.report.equivalence import Equivalence, equivalences
from hepfm.report.formats import interval, labels_text, number, significant
from hepfm.report.guards import Ends
from hepfm.report.sections import BASELINE, Group, Section
from hepfm.report.summary import NOISE, REAL, Reference, Summary, baselines, curves, lines, summarise
from hepfm.report.table import Column, ReportTable, in_file, on_page, text
from hepfm.tasks.result import MetricInfo

NUMBERS = (
    " Rejections are averaged by their logarithm. 68% of the mean: interval of that mean over trainings "
    "(Student's t widened for skewness), from 3 trainings on; std: of single trainings, relative for "
    "rejections. Statistical uncertainty of the test rows: what other test rows would change for the same "
    "trainings, 68%. The two are never added. '>' gives a lower limit where a training lets no background "
    "row pass. Below the arms of each number of labels stand trivial answers, fitted to the same labels."
)


Number = tuple[MetricInfo, Summary | Reference]
"""A metric of an arm, or of a trivial answer, at one number of labels."""


def _mean(row: Number) -> str:
    """Return the mean, or the lower limit where a training lets no background pass."""
    metric, measured = row
    if isinstance(measured, Summary) and measured.mean.value is None and measured.test_low is not None:
        return f"> {number(measured.test_low, metric.scale)}"
    return number(measured.mean.value, metric.scale)


def _std(row: Number) -> str:
    metric, measured = row
    if not measured.spread or measured.mean.std is None:
        return "none" if measured.spread else ""
    std = measured.mean.std
    return f"{std:.4f}" if metric.scale == "difference" else f"{100 * std:.0f}%"


def _interval(row: Number) -> str:
    metric, measured = row
    return interval(measured.mean.low, measured.mean.high, metric.scale) if measured.spread else ""


def _labels(row: Number) -> str:
    """Return the number of labels; nothing for what holds whatever their number."""
    return "" if row[1].title in (REAL, NOISE) else labels_text(row[1].budget)


RESULT_COLUMNS: tuple[Column[Number], ...] = (
    text("metric", "metric", lambda row: row[0].name, lambda row: row[0].title),
    in_file("definition", lambda row: row[0].definition),
    text("arm", "arm", lambda row: row[1].title),
    Column("labels", "labels", lambda row: row[1].budget, _labels),
    Column(
        "trainings",
        "trainings",
        lambda row: row[1].mean.count,
        lambda row: str(row[1].mean.count) if isinstance(row[1], Summary) else "",
    ),
    Column("mean", "mean", lambda row: row[1].mean.value, _mean),
    on_page("68% of the mean", _interval),
    in_file("mean_low", lambda row: row[1].mean.low),
    in_file("mean_high", lambda row: row[1].mean.high),
    Column("std", "std", lambda row: row[1].mean.std, _std),
    on_page(
        "statistical uncertainty of the test rows",
        lambda row: interval(row[1].test_low, row[1].test_high, row[0].scale),
    ),
    in_file("test_low", lambda row: row[1].test_low),
    in_file("test_high", lambda row: row[1].test_high),
    in_file("n", lambda row: row[0].n),
)


def results_table(section: Section, metrics: Sequence[MetricInfo], *, name: str = "") -> ReportTable[Number]:
    """Return the table of means with both errors apart, trivial answers below the arms.

    Metrics of the results that are not among `metrics` come into the CSV file alone.
    """
    shown = {metric.name for metric in metrics}
    others = [metric for metric in section.results[0].file.metrics if metric.name not in shown]
    return ReportTable(
        RESULT_COLUMNS,
        tuple(row for metric in metrics for row in _numbers(section, metric)),
        caption=average_text(section.groups) + NUMBERS,
        name=name,
        more=tuple(row for metric in others for row in _numbers(section, metric)),
        group=lambda row: row[0].name,
    )


def _numbers(section: Section, metric: MetricInfo) -> list[Number]:
    arms = [summarise(group, metric.name) for group in section.groups]
    measured: list[Summary | Reference] = [*arms, *baselines(section, metric.name)]
    ordered = [one for budget in section.budgets for one in measured if one.budget == budget]
    return [(metric, one) for one in (*ordered, *lines(section, metric.name))]


# -- how the arms were trained

TRAINING = (
    "How long the arms were trained. Where the last step was the best one, training was stopped while it "
    "still improved; where the first validation was, the rate was too high for so few labels and the network "
    "is hardly trained. With more than a fifth of such runs an arm gets no verdict. Steps and updates per "
    "label (how often each training row was seen) are means over trainings."
)


@dataclass(frozen=True)
class TrainingLength:
    """How long the trainings of a group were."""

    group: Group

    @cached_property
    def ends(self) -> Ends:
        """Where their best validations lie."""
        return Ends.of(self.group)

    @property
    def pretrainings(self) -> int:
        """Number of models that they started from."""
        return len({result.origin.pretraining for result in self.group.results} - {None})

    def mean(self, name: str) -> float | None:
        """Return the mean of a number of the trainings; None where no training has it."""
        values = [getattr(result.file.training, name) for result in self.group.results]
        known = [value for value in values if value is not None]
        return mean(known) if known else None


def _counted(title: str, key: str, count: Callable[[Ends], int]) -> Column[TrainingLength]:
    def value(row: TrainingLength) -> int | None:
        return count(row.ends) if row.ends.known else None

    def shown(row: TrainingLength) -> str:
        return f"{count(row.ends)} of {row.ends.known}" if row.ends.known else "not known"

    return Column(title, key, value, shown)


def _averaged(title: str, name: str, write: Callable[[float], str]) -> Column[TrainingLength]:
    def shown(row: TrainingLength) -> str:
        value = row.mean(name)
        return "not known" if value is None else write(value)

    return Column(title, name, lambda row: row.mean(name), shown)


TRAINING_COLUMNS: tuple[Column[TrainingLength], ...] = (
    text("arm", "arm", lambda row: row.group.arm),
    Column("labels", "labels", lambda row: row.group.budget, lambda row: labels_text(row.group.budget)),
    Column("trainings", "trainings", lambda row: len(row.group.results)),
    Column("pre-trainings", "pretrainings", lambda row: row.pretrainings),
    in_file("known", lambda row: row.ends.known),
    _counted("first validation was the best", "first_was_best", lambda ends: ends.first),
    _counted("last step was the best", "last_was_best", lambda ends: ends.last),
    _averaged("steps", "steps", lambda value: f"{value:,.0f}"),
    _averaged("updates per label", "updates_per_label", significant),
)


def training_table(section: Section, *, name: str = "") -> list[ReportTable[TrainingLength]]:
    """Return how long the arms were trained, and how many show no plateau; may be nothing."""
    rows = tuple(TrainingLength(group) for group in section.by_budget)
    return (
        [ReportTable(TRAINING_COLUMNS, rows, TRAINING, name)] if any(row.ends.known for row in rows) else []
    )


# -- label-equivalent factors

EQUIVALENCE = (
    f"How many times more labels {BASELINE} needs for the same mean, read off its own curve (interpolated in "
    "the logarithm of the number of labels, at the first crossing). 'more than' and 'less than': the value "
    "lies outside that curve. Over trainings: the factor at the ends of the 68% interval of the arm's mean, "
    "the curve held fixed; it holds neither the error of the curve nor the statistical uncertainty of the "
    "test rows."
)


def _factor(factor: Equivalence) -> str:
    if factor.factor is not None:
        return significant(factor.factor, 2)
    return f"{'more than' if factor.bound == '>' else 'less than'} {significant(factor.limit or 0.0, 2)}"


def _over_trainings(factor: Equivalence) -> str:
    if factor.factor is None:
        return "none"
    ends = ["off the curve" if end is None else significant(end, 2) for end in (factor.low, factor.high)]
    return " to ".join(ends)


EQUIVALENCE_COLUMNS: tuple[Column[tuple[MetricInfo, Equivalence]], ...] = (
    text("metric", "metric", lambda row: row[0].name, lambda row: row[0].title),
    text("arm", "arm", lambda row: row[1].group.arm),
    Column("labels", "labels", lambda row: row[1].group.budget, lambda row: labels_text(row[1].group.budget)),
    Column("factor", "factor", lambda row: row[1].factor, lambda row: _factor(row[1])),
    on_page("over trainings", lambda row: _over_trainings(row[1])),
    in_file("factor_low", lambda row: row[1].low),
    in_file("factor_high", lambda row: row[1].high),
    in_file("bound", lambda row: row[1].bound),
    in_file("limit", lambda row: row[1].limit),
)


def equivalence_table(
    section: Section, metrics: Sequence[MetricInfo], *, name: str = ""
) -> list[ReportTable[tuple[MetricInfo, Equivalence]]]:
    """Return the table of label-equivalent factors; nothing without a curve of the baseline."""
    rows = []
    for metric in metrics:
        by_arm = {curve.arm: curve for curve in curves(section, metric.name)}
        if BASELINE not in by_arm:
            return []
        baseline = by_arm.pop(BASELINE)
        for curve in by_arm.values():
            rows += [(metric, factor) for factor in equivalences(curve, baseline, metric.scale)]
    return [ReportTable(EQUIVALENCE_COLUMNS, tuple(rows), EQUIVALENCE, name)] if rows else []
