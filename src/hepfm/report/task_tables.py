"""The tables of a task: all numbers, how the arms were trained, label-equivalent factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

from hepfm.metrics.trainings import TrainingMean
from hepfm.report.averages import average_text
from hepfm.report.equivalence import Equivalence, equivalences
from hepfm.report.formats import interval, labels_text, number, significant
from hepfm.report.guards import Ends
from hepfm.report.results import BASELINE, Group, Section
from hepfm.report.summary import Reference, baselines, curves, lines, summarise
from hepfm.report.table import Column, ReportTable, in_file, on_page, text
from hepfm.tasks.result import MetricInfo

NUMBERS = (
    " Rejections are averaged by their logarithm. 68% of the mean: interval of that mean over trainings "
    "(Student's t widened for skewness), from 3 trainings on; std: of single trainings, relative for "
    "rejections. Statistical uncertainty of the test rows: what other test rows would change for the same "
    "trainings, 68%. The two are never added. '>' gives a lower limit where a training lets no background "
    "row pass. Below the arms of each number of labels stand trivial answers, fitted to the same labels."
)


@dataclass(frozen=True)
class Number:
    """A metric of an arm, or of a trivial answer, at one number of labels.

    Attributes
    ----------
    metric
        What was measured.
    arm
        Name of the arm or of the trivial answer.
    labels
        For people; empty where labels do not matter.
    budget, mean, test_low, test_high
        Of `Summary` or `Reference`.
    trained
        Whether it is an arm.
    """

    metric: MetricInfo
    arm: str
    labels: str
    budget: int | None
    mean: TrainingMean
    test_low: float | None
    test_high: float | None
    trained: bool

    @property
    def value_text(self) -> str:
        """The mean for people, or the lower limit where it does not exist."""
        if self.trained and self.mean.value is None and self.test_low is not None:
            return f"> {number(self.test_low, self.metric.scale)}"
        return number(self.mean.value, self.metric.scale)

    @property
    def interval_text(self) -> str:
        """The interval of the mean; nothing for a trivial answer that was fitted once."""
        return interval(self.mean.low, self.mean.high, self.metric.scale) if self._spread else ""

    @property
    def std_text(self) -> str:
        """The standard deviation of single trainings, in per cent for rejections."""
        if self.mean.std is None or not self._spread:
            return "none" if self._spread else ""
        return f"{self.mean.std:.4f}" if self.metric.scale == "difference" else f"{100 * self.mean.std:.0f}%"

    @property
    def _spread(self) -> bool:
        return self.trained or self.mean.count > 1


RESULT_COLUMNS: tuple[Column[Number], ...] = (
    text("metric", "metric", lambda row: row.metric.name, lambda row: row.metric.title),
    in_file("definition", lambda row: row.metric.definition),
    text("arm", "arm", lambda row: row.arm),
    Column("labels", "labels", lambda row: row.budget, lambda row: row.labels),
    Column(
        "trainings",
        "trainings",
        lambda row: row.mean.count,
        lambda row: str(row.mean.count) if row.trained else "",
    ),
    Column("mean", "mean", lambda row: row.mean.value, lambda row: row.value_text),
    on_page("68% of the mean", lambda row: row.interval_text),
    in_file("mean_low", lambda row: row.mean.low),
    in_file("mean_high", lambda row: row.mean.high),
    Column("std", "std", lambda row: row.mean.std, lambda row: row.std_text),
    on_page(
        "statistical uncertainty of the test rows",
        lambda row: interval(row.test_low, row.test_high, row.metric.scale),
    ),
    in_file("test_low", lambda row: row.test_low),
    in_file("test_high", lambda row: row.test_high),
    in_file("n", lambda row: row.metric.n),
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
        group=lambda row: row.metric.name,
    )


def _numbers(section: Section, metric: MetricInfo) -> list[Number]:
    fitted = baselines(section, metric.name)
    rows = []
    for budget in section.budgets:
        rows += [_arm(group, metric) for group in section.groups if group.budget == budget]
        rows += [_trivial(one, metric, labels_text(budget)) for one in fitted if one.budget == budget]
    return rows + [_trivial(line, metric, "") for line in lines(section, metric.name)]


def _arm(group: Group, metric: MetricInfo) -> Number:
    summary, labels = summarise(group, metric.name), labels_text(group.budget)
    ends = (summary.test_low, summary.test_high)
    return Number(metric, group.arm, labels, group.budget, summary.mean, *ends, trained=True)


def _trivial(one: Reference, metric: MetricInfo, labels: str) -> Number:
    return Number(metric, one.title, labels, one.budget, one.mean, one.test_low, one.test_high, trained=False)


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
