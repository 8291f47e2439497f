"""Every arm against scratch and against the best arm: medians over pairs of seeds, with both intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.metrics.measurement import Measurement
from hepfm.metrics.paired import Scale, excludes, neutral, paired_seeds
from hepfm.study import html
from hepfm.study.differences import Difference, differences, paired
from hepfm.study.preference import best_arms, lower_is_better
from hepfm.study.results import BASELINE, Group, Section
from hepfm.study.table import Table, interval, make_table, number
from hepfm.tasks.result import SCORES, MetricInfo

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Pair:
    """One arm against another at one budget, by one metric.

    Attributes
    ----------
    group
        The arm and its budget.
    reference
        The arm it is compared with.
    metric
        What is compared.
    median
        Median over pairs of seeds of the difference, or of the ratio; None when it is undefined.
    seeds
        With the 95 % interval over pairs of seeds.
    test
        With the 95 % interval over test rows; None where no scores of single rows exist.
    verdict
        ``"better"``, ``"worse"``, or ``"not resolved"`` and by what.
    """

    group: Group
    reference: str
    metric: MetricInfo
    median: float | None
    seeds: Measurement
    test: Measurement | None
    verdict: str


def compare_pairs(section: Section, references: Mapping[int | None, str]) -> tuple[Pair, ...]:
    """Compare every arm with the reference of its budget."""
    if has_scores(section):
        return tuple(_with_scores(one, section) for one in differences(section, references=references))
    found: list[Pair] = []
    for group in section.by_budget:
        base = section.find(references.get(group.budget, ""), group.budget)
        if base is not None and base.arm != group.arm:
            found += [_by_seeds(group, base, metric) for metric in section.results[0].file.metrics]
    return tuple(found)


def has_scores(section: Section) -> bool:
    """Tell whether the results hold a score for each test row."""
    return all((result.path / SCORES).exists() for result in section.results)


def against_scratch(section: Section) -> dict[int | None, str]:
    """Return scratch as the reference of every budget."""
    return dict.fromkeys(section.budgets, BASELINE)


def against_best(section: Section) -> dict[int | None, str]:
    """Return the arm with the best median as the reference of its budget."""
    return best_arms(section)


def _with_scores(one: Difference, section: Section) -> Pair:
    base = section.find(one.reference, one.group.budget)
    info = section.results[0].file.metric(one.metric)
    median = _median(one.group, base, info) if base else None
    return Pair(one.group, one.reference, info, median, one.seeds, one.test, one.verdict)


def _by_seeds(group: Group, base: Group, info: MetricInfo) -> Pair:
    ours, theirs = paired(group, base)
    if not ours:
        none = Measurement(None, None, None, 0, f"paired.{info.scale}.v1", "none: no seed in common")
        return Pair(group, base.arm, info, None, none, None, "not resolved: no seed in common")
    values = [[result.file.metric(info.name).value for result in results] for results in (ours, theirs)]
    seeds = paired_seeds(values[0], values[1], scale=info.scale)
    return Pair(group, base.arm, info, _median(group, base, info), seeds, None, _verdict(seeds, info))


def _verdict(seeds: Measurement, info: MetricInfo) -> str:
    equal = neutral(info.scale)
    if seeds.n == 1:
        return "not resolved: one pair of seeds"
    if not excludes(seeds, equal) or seeds.value is None:
        return "not resolved by the seeds"
    return "better" if (seeds.value < equal) == lower_is_better(info) else "worse"


def _median(group: Group, base: Group, info: MetricInfo) -> float | None:
    """Return the median over pairs; an undefined rejection counts as larger than any number."""
    ours, theirs = paired(group, base)
    left, right = (
        np.array([np.inf if value is None else value for value in values])
        for values in (
            [result.file.metric(info.name).value for result in results] for results in (ours, theirs)
        )
    )
    if not len(left):
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        found = float(np.median(left / right if info.scale == "ratio" else left - right))
    return found if np.isfinite(found) else None


HEADER = (
    "metric",
    "arm",
    "against",
    "verdict",
    "labels",
    "pairs",
    "median",
    "95% by seeds",
    "95% by test jets",
)


def pairs_table(found: Sequence[Pair], *, caption: str) -> str:
    """Return the table for the page; nothing without pairs."""
    if not found:
        return ""
    ordered = sorted(found, key=lambda pair: pair.metric.name)
    names = [pair.metric.name for pair in ordered]
    firsts = [index for index in range(len(names)) if index == 0 or names[index] != names[index - 1]]
    rows = [_row(pair) for pair in ordered]
    return html.scroll_table(
        HEADER, rows, caption=caption, text_columns=3, first_rows=firsts, verdict_column=3
    )


def _row(pair: Pair) -> list[str]:
    scale: Scale = pair.metric.scale
    test = "not known" if pair.test is None else interval(pair.test.low, pair.test.high, scale)
    return [
        pair.metric.title,
        pair.group.arm,
        pair.reference,
        pair.verdict,
        "all" if pair.group.budget is None else f"{pair.group.budget:,}",
        str(pair.seeds.n),
        number(pair.median, scale),
        interval(pair.seeds.low, pair.seeds.high, scale),
        test,
    ]


def pairs_csv(found: Sequence[Pair]) -> Table:
    """Return the same numbers in full."""
    header = (
        "metric",
        "scale",
        "arm",
        "against",
        "labels",
        "pairs",
        "verdict",
        "median",
        "mean",
        "seeds_low",
        "seeds_high",
        "test_low",
        "test_high",
    )
    rows = [
        [
            pair.metric.name,
            pair.metric.scale,
            pair.group.arm,
            pair.reference,
            pair.group.budget,
            pair.seeds.n,
            pair.verdict,
            pair.median,
            pair.seeds.value,
            pair.seeds.low,
            pair.seeds.high,
            pair.test.low if pair.test else None,
            pair.test.high if pair.test else None,
        ]
        for pair in found
    ]
    return make_table(header, rows)
