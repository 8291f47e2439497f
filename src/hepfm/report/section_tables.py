"""The tables of a section: all numbers, how the arms were trained, label-equivalent factors."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from hepfm.metrics.trainings import Scale, TrainingMean
from hepfm.report import html
from hepfm.report.averages import average_text
from hepfm.report.equivalence import Equivalence, equivalences
from hepfm.report.guards import Ends
from hepfm.report.results import BASELINE, Group, Section
from hepfm.report.summary import Reference, Summary, baselines, curves, lines, summarise
from hepfm.report.table import Cell, ReportTable, interval, labels_text, make_table, number, significant
from hepfm.tasks.result import MetricInfo

NUMBERS = (
    " Rejections are averaged by their logarithm. 68% of the mean: interval of that mean over trainings "
    "(Student's t widened for skewness), from 3 trainings on; std: of single trainings, relative for "
    "rejections. Statistical uncertainty of the test jets: what other test jets would change for the same "
    "trainings, 68%. The two are never added. '>' gives a lower limit where a training lets no background "
    "jet pass. Below the arms of each number of labels stand trivial answers, fitted to the same labels."
)


def results_table(section: Section, metrics: Sequence[MetricInfo]) -> str:
    """Return the table of means with both errors apart, trivial answers below the arms."""
    rows: list[list[str]] = []
    firsts: list[int] = []
    for metric in metrics:
        firsts.append(len(rows))
        beside = baselines(section, metric.name)
        for budget in section.budgets:
            groups = [group for group in section.groups if group.budget == budget]
            rows += [_result_row(summarise(group, metric.name), metric) for group in groups]
            rows += [_reference_row(one, metric) for one in beside if one.budget == budget]
        rows += [_reference_row(one, metric, labels="") for one in lines(section, metric.name)]
    return html.scroll_table(
        (
            "metric",
            "arm",
            "labels",
            "trainings",
            "mean",
            "68% of the mean",
            "std",
            "statistical uncertainty of the test jets",
        ),
        rows,
        caption=average_text(section.groups) + NUMBERS,
        text_columns=2,
        first_rows=firsts,
    )


def _result_row(summary: Summary, metric: MetricInfo) -> list[str]:
    mean, scale = summary.mean, metric.scale
    value = number(mean.value, scale)
    if mean.value is None and summary.test_low is not None:
        value = f"> {number(summary.test_low, scale)}"
    return [
        metric.title,
        summary.group.arm,
        labels_text(summary.group.budget),
        str(mean.count),
        value,
        *_errors(mean, scale),
        interval(summary.test_low, summary.test_high, scale),
    ]


def _reference_row(one: Reference, metric: MetricInfo, *, labels: str | None = None) -> list[str]:
    scale = metric.scale
    return [
        metric.title,
        one.title,
        labels_text(one.budget) if labels is None else labels,
        "",
        number(one.mean.value, scale),
        *(_errors(one.mean, scale) if one.mean.count > 1 else ("", "")),
        interval(one.test_low, one.test_high, scale),
    ]


def _errors(mean: TrainingMean, scale: Scale) -> tuple[str, str]:
    return interval(mean.low, mean.high, scale), "none" if mean.std is None else _std(mean.std, scale)


def _std(value: float, scale: Scale) -> str:
    return f"{value:.4f}" if scale == "difference" else f"{100 * value:.0f}%"


def results_csv(section: Section, metrics: Sequence[MetricInfo]) -> ReportTable:
    """Return every group's summary by every metric, and the trivial answers."""
    header = [
        "metric",
        "definition",
        "arm",
        "labels",
        "trainings",
        "mean",
        "mean_low",
        "mean_high",
        "std",
        "test_low",
        "test_high",
        "n",
    ]
    rows: list[list[Cell]] = []
    for metric in metrics:
        found = [summarise(group, metric.name) for group in section.by_budget]
        named: list[tuple[str, int | None, Summary | Reference]] = [
            (one.group.arm, one.group.budget, one) for one in found
        ]
        beside = (*baselines(section, metric.name), *lines(section, metric.name))
        named += [(one.title, one.budget, one) for one in beside]
        rows += [
            [metric.name, metric.definition, arm, budget, *_numbers(one), metric.n]
            for arm, budget, one in named
        ]
    return make_table(header, rows)


def _numbers(one: Summary | Reference) -> list[Cell]:
    mean = one.mean
    return [mean.count, mean.value, mean.low, mean.high, mean.std, one.test_low, one.test_high]


def training_table(section: Section) -> str:
    """Return how long the arms were trained, and how many show no plateau; may be nothing."""
    if not any(Ends.of(group).known for group in section.groups):
        return ""
    return html.scroll_table(
        (
            "arm",
            "labels",
            "trainings",
            "pre-trainings",
            "first validation was the best",
            "last step was the best",
            "steps",
            "updates per label",
        ),
        [_training_row(group) for group in section.by_budget],
        caption=(
            "How long the arms were trained. Where the last step was the best one, training was stopped "
            "while it still improved; where the first validation was, the rate was too high for so few "
            "labels and the network is hardly trained. With more than a fifth of such runs an arm gets no "
            "verdict. Steps and updates per label (how often each training row was seen) are means over "
            "trainings."
        ),
    )


def _training_row(group: Group) -> list[str]:
    ends = Ends.of(group)
    trainings = [result.file.training for result in group.results]
    steps = [one.steps for one in trainings if one.steps is not None]
    updates = [one.updates_per_label for one in trainings if one.updates_per_label is not None]
    started = {result.origin.pretraining for result in group.results} - {None}
    return [
        group.arm,
        labels_text(group.budget),
        str(len(group.results)),
        str(len(started)),
        *(f"{count} of {ends.known}" if ends.known else "not known" for count in (ends.first, ends.last)),
        f"{mean(steps):,.0f}" if steps else "not known",
        significant(mean(updates)) if updates else "not known",
    ]


def equivalence_table(section: Section, metrics: Sequence[MetricInfo]) -> str:
    """Return the table of label-equivalent factors; nothing without a curve of the baseline."""
    rows = []
    for metric in metrics:
        by_arm = {curve.arm: curve for curve in curves(section, metric.name)}
        if BASELINE not in by_arm:
            return ""
        for arm, curve in by_arm.items():
            if arm != BASELINE:
                found = equivalences(curve, by_arm[BASELINE], metric.scale)
                rows += [_equivalence_row(one, metric) for one in found]
    if not rows:
        return ""
    return html.scroll_table(
        ("metric", "arm", "labels", "factor", "over trainings"),
        rows,
        caption=(
            f"How many times more labels {BASELINE} needs for the same mean, read off its own curve "
            "(interpolated in the logarithm of the number of labels, at the first crossing). 'more than' "
            "and 'less than': the value lies outside that curve. Over trainings: the factor at the ends of "
            "the 68% interval of the arm's mean, the curve held fixed; it holds neither the error of the "
            "curve nor the statistical uncertainty of the test jets."
        ),
        text_columns=2,
    )


def _equivalence_row(one: Equivalence, metric: MetricInfo) -> list[str]:
    factor = f"{significant(one.factor, 2)}" if one.factor is not None else _bound(one)
    over = "none"
    if one.factor is not None:
        ends = ["off the curve" if end is None else significant(end, 2) for end in (one.low, one.high)]
        over = " to ".join(ends)
    return [metric.title, one.group.arm, f"{one.group.budget or 0:,}", factor, over]


def _bound(one: Equivalence) -> str:
    word = "more than" if one.bound == ">" else "less than"
    return f"{word} {significant(one.limit or 0.0, 2)}"
