"""The tables of a section: all numbers, comparisons with the baseline, label-equivalent factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hepfm.metrics.paired import Scale
from hepfm.study import html
from hepfm.study.differences import Difference
from hepfm.study.equivalence import Equivalence, equivalences
from hepfm.study.results import BASELINE, Section
from hepfm.study.summary import Summary, curves, summarise
from hepfm.study.table import Table, interval, make_table, number, significant
from hepfm.tasks.result import MetricInfo

REAL = "real against real"
"""Row of what real rows reach against other real ones."""

TIMES = "\N{MULTIPLICATION SIGN}"


def results_table(section: Section) -> str:
    """Return the table of medians with both errors apart."""
    metrics = section.results[0].file.metrics
    rows: list[list[str]] = []
    firsts: list[int] = []
    for metric in metrics:
        firsts.append(len(rows))
        rows += [_result_row(summarise(group, metric.name), metric) for group in section.by_budget]
        real = section.results[0].file.floor(metric.name)
        if real is not None:
            ends = interval(real.low, real.high, metric.scale)
            rows.append([metric.title, REAL, "", "", number(real.value, metric.scale), "", "", ends])
    return html.scroll_table(
        (
            "metric",
            "arm",
            "labels",
            "seeds",
            "median",
            "spread over seeds",
            "std over seeds",
            "test-set error 68%",
        ),
        rows,
        caption=(
            "Medians over seeds with both errors apart. Spread over seeds: 16-84% quantiles from 5 seeds "
            "on, else smallest to largest. Test-set error: what other test jets would change for one "
            "training (bootstrap; Clopper-Pearson for 1/ε_B). The two are never added. '>' and "
            "'above' give the 95% lower limit where the median training lets no background jet pass."
        ),
        text_columns=2,
        first_rows=firsts,
    )


def _result_row(summary: Summary, metric: MetricInfo) -> list[str]:
    spread, scale = summary.spread, metric.scale
    labels = "all" if summary.group.budget is None else f"{summary.group.budget:,}"
    seeds = interval(spread.low, spread.high, scale) if spread.count > 1 else "one seed"
    return [
        metric.title,
        summary.group.arm,
        labels,
        str(spread.count),
        _median(summary, scale),
        seeds,
        "none" if spread.std is None else _std(spread.std, scale),
        interval(summary.test_low, summary.test_high, scale),
    ]


def _median(summary: Summary, scale: Scale) -> str:
    if summary.spread.median is None and summary.test_low is not None:
        return f"> {number(summary.test_low, scale)}"
    return number(summary.spread.median, scale)


def _std(value: float, scale: Scale) -> str:
    return f"{value:.4f}" if scale == "difference" else significant(value, 2)


def results_csv(section: Section) -> Table:
    """Return every group's summary by every metric."""
    header = [
        "metric",
        "definition",
        "arm",
        "labels",
        "seeds",
        "median",
        "seeds_low",
        "seeds_high",
        "seeds_std",
        "test_low",
        "test_high",
        "n",
    ]
    rows = []
    for metric in section.results[0].file.metrics:
        for group in section.by_budget:
            one = summarise(group, metric.name)
            spread = one.spread
            numbers = (
                spread.median,
                spread.low,
                spread.high,
                spread.std,
                one.test_low,
                one.test_high,
                metric.n,
            )
            rows.append([metric.name, metric.definition, group.arm, group.budget, spread.count, *numbers])
        real = section.results[0].file.floor(metric.name)
        if real is not None:
            numbers = (real.value, None, None, None, real.low, real.high, real.n)
            rows.append([metric.name, metric.definition, REAL, None, None, *numbers])
    return make_table(header, rows)


def difference_table(found: Sequence[Difference], metrics: Sequence[MetricInfo]) -> str:
    """Return the table of comparisons with the baseline; nothing when there is none."""
    if not found:
        return ""
    titles = {metric.name: metric.title for metric in metrics}
    rows: list[list[str]] = []
    firsts: list[int] = []
    last = ""
    for difference in sorted(found, key=lambda one: list(titles).index(one.metric)):
        if difference.metric != last:
            firsts.append(len(rows))
            last = difference.metric
        rows.append(_difference_row(difference, titles[difference.metric]))
    return html.scroll_table(
        (
            "metric",
            "arm",
            "verdict",
            "labels",
            "pairs",
            "difference or ratio",
            "95% by test jets",
            "95% by seeds",
        ),
        rows,
        caption=(
            f"Each arm against {BASELINE} at the same labels and on the same test jets. Accuracy and AUC: "
            "difference of means over seeds; 1/ε_B: ratio of geometric means. By test jets: paired "
            "bootstrap, all models share the resampled jets. By seeds: Student's t over pairs of equal "
            "seed. 'better' and 'worse' need both intervals to exclude no difference (0, or ratio 1); "
            "everything else is not resolved. Many lines are looked at together, and at 95% about one in "
            "forty equal pairs would be called better by either interval alone."
        ),
        text_columns=2,
        first_rows=firsts,
        verdict_column=2,
    )


def _difference_row(difference: Difference, title: str) -> list[str]:
    group, scale = difference.group, difference.scale
    test, seeds = difference.test, difference.seeds
    show = _signed if scale == "difference" else _times
    value = "none" if test.value is None else show(test.value)
    return [
        title,
        group.arm,
        difference.verdict,
        "all" if group.budget is None else f"{group.budget:,}",
        str(seeds.n),
        value,
        _ends(test.low, test.high, show),
        _ends(seeds.low, seeds.high, show),
    ]


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _times(value: float) -> str:
    return f"{TIMES}{significant(value)}"


def _ends(low: float | None, high: float | None, show: Callable[[float], str]) -> str:
    if low is None and high is None:
        return "none"
    return f"{'open' if low is None else show(low)} to {'open' if high is None else show(high)}"


def differences_csv(found: Sequence[Difference]) -> Table:
    """Return every comparison with the baseline."""
    header = [
        "metric",
        "scale",
        "arm",
        "labels",
        "verdict",
        "value",
        "test_low",
        "test_high",
        "pairs",
        "seeds_low",
        "seeds_high",
    ]
    rows = [
        [
            one.metric,
            one.scale,
            one.group.arm,
            one.group.budget,
            one.verdict,
            one.test.value,
            one.test.low,
            one.test.high,
            one.seeds.n,
            one.seeds.low,
            one.seeds.high,
        ]
        for one in found
    ]
    return make_table(header, rows)


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
        ("metric", "arm", "labels", "factor", "over seeds"),
        rows,
        caption=(
            f"How many times more labels {BASELINE} needs for the same median, read off its own curve "
            "(interpolated in the logarithm of the number of labels, at the first crossing). 'more than' "
            "and 'less than': the value lies outside that curve. Over seeds: the factor at the ends of the "
            "arm's seed spread, the curve held fixed; it holds neither the spread of the curve nor the "
            "test-set error."
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
