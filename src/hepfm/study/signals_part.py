"""The part of a study's report about weak supervision: what is found of a signal, down to none at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hepfm.data.mixtures import MIXED, SAMPLE
from hepfm.metrics.holm import holm
from hepfm.metrics.paired import PairedTrainings, paired_trainings
from hepfm.report.blocks import Block, Bullets, Part, Text, grid
from hepfm.report.difference import ALPHA
from hepfm.report.figures.signal_strength import Strength, StrengthPoint, strength_figure
from hepfm.report.figures.style import Pen
from hepfm.report.formats import interval, number, p_value, significant
from hepfm.report.preference import primary_metric, whole_metrics
from hepfm.report.sections import Group
from hepfm.report.summary import Summary, baselines, summarise
from hepfm.report.table import Column, ReportTable, in_file, on_page, text
from hepfm.study.panels import Panel
from hepfm.study.plan import Plan
from hepfm.tasks.result import MetricInfo
from hepfm.tasks.weak_supervision import WeakSupervision

TABLE = (
    "What is found with how much signal. 68% of the mean: interval of that mean over trainings. S/√B after "
    "the cut: that of the mixed training sample times the improvement. Above the control: improvement less "
    "that of the same arm and replicate without signal, and p of no difference over trainings, corrected "
    "after Holm for all lines of the table; exploratory."
)
CONTROL = (
    "Random scores have √ε_B on average, but a network that learned from nothing is not random: it orders "
    "rows by whatever its features happen to follow, rows like the signal first or last. Its improvement "
    "without signal scatters from training to training, and its mean need not be √ε_B. What an arm finds is "
    "what it has beyond its own control."
)
NO_CONTROL = (
    "There is no control without signal. An improvement above that of random scores need not come from the "
    "signal in training: add a mixture with count: 0."
)


@dataclass(frozen=True)
class Series:
    """Panels of one task that differ by the signal in their mixtures.

    Attributes
    ----------
    name
        Size of the network, and rows of pre-training where there are several, for people.
    panels
        By rising signal.
    """

    name: str
    panels: tuple[tuple[Strength, Panel], ...]

    @property
    def metric(self) -> MetricInfo:
        """The metric that the task opens with."""
        return primary_metric(self.panels[0][1].section.results[0].file)

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms, in the order of the panels."""
        return tuple(dict.fromkeys(arm for _, panel in self.panels for arm in panel.section.arms))

    def group(self, arm: str, strength: Strength) -> Group | None:
        """Return the trainings of an arm on all rows of a mixture."""
        return next((p.section.find(arm, None) for s, p in self.panels if s == strength), None)

    @cached_property
    def found(self) -> tuple[FoundSignal, ...]:
        """What each arm finds with each signal, p-values corrected together."""
        control = next((strength for strength, _ in self.panels if not strength.signal), None)
        rows = [
            FoundSignal(arm, strength, group, self.metric, self.group(arm, control) if control else None)
            for strength, _ in self.panels
            for arm in self.arms
            if (group := self.group(arm, strength)) is not None
        ]
        asked = [row for row in rows if row.strength.signal]
        corrected = dict(zip(map(id, asked), holm([row.p for row in asked]), strict=True))
        return tuple(replace(row, adjusted_p=corrected.get(id(row))) for row in rows)


@dataclass(frozen=True)
class FoundSignal:
    """An arm with so much signal, beside its own control without."""

    arm: str
    strength: Strength
    group: Group
    metric: MetricInfo
    control: Group | None
    adjusted_p: float | None = None

    @property
    def summary(self) -> Summary:
        """The metric over trainings."""
        return summarise(self.group, self.metric.name)

    @cached_property
    def beyond(self) -> PairedTrainings | None:
        """The metric less that of the control, replicate by replicate; None for the control itself."""
        if self.control is None or not self.strength.signal:
            return None
        ours, theirs = (
            {one.seed: one.file.metric(self.metric.name).value for one in group.results}
            for group in (self.group, self.control)
        )
        shared = [seed for seed in ours if seed in theirs]
        if not shared:
            return None
        values = ([[found[seed] for seed in shared]] for found in (ours, theirs))
        return paired_trainings(*values, scale=self.metric.scale)

    @property
    def p(self) -> float | None:
        """Of no difference from the control."""
        return None if self.beyond is None else self.beyond.p

    @property
    def is_found(self) -> bool:
        """Whether the signal is resolved beyond the control."""
        value = None if self.beyond is None else self.beyond.measurement.value
        return value is not None and value > 0 and self.adjusted_p is not None and self.adjusted_p < ALPHA

    @property
    def verdict(self) -> str:
        """The answer in words."""
        if not self.strength.signal:
            return "control"
        if self.beyond is None:
            return "no control"
        if self.beyond.reason:
            return f"not resolved: {self.beyond.reason}"
        if self.is_found:
            return "above the control"
        resolved = self.adjusted_p is not None and self.adjusted_p < ALPHA
        return "below the control" if resolved else "not resolved"

    @property
    def after(self) -> float | None:
        """Expected S/√B of the training sample after the cut."""
        value = self.summary.mean.value
        return None if value is None else value * self.strength.significance


COLUMNS: tuple[Column[FoundSignal], ...] = (
    text("arm", "arm", lambda row: row.arm),
    Column("signal", "signal", lambda row: row.strength.signal, lambda row: row.strength.text),
    in_file("background", lambda row: row.strength.background),
    Column(
        "S/√B",
        "s_over_sqrt_b",
        lambda row: row.strength.significance,
        lambda row: significant(row.strength.significance, 2) if row.strength.signal else "0",
    ),
    Column("trainings", "trainings", lambda row: row.summary.mean.count),
    Column(
        "mean improvement",
        "mean",
        lambda row: row.summary.mean.value,
        lambda row: number(row.summary.mean.value, row.metric.scale),
    ),
    on_page(
        "68% of the mean", lambda row: interval(row.summary.mean.low, row.summary.mean.high, row.metric.scale)
    ),
    in_file("mean_low", lambda row: row.summary.mean.low),
    in_file("mean_high", lambda row: row.summary.mean.high),
    Column(
        "S/√B after the cut",
        "s_over_sqrt_b_after",
        lambda row: row.after,
        lambda row: significant(row.after, 2) if row.after and row.strength.signal else "",
    ),
    Column("beyond the control", "verdict", lambda row: row.verdict, kind="verdict"),
    Column(
        "difference",
        "difference",
        lambda row: row.beyond.measurement.value if row.beyond else None,
        lambda row: number(row.beyond.measurement.value, row.metric.scale) if row.beyond else "",
    ),
    Column("p (Holm)", "p_holm", lambda row: row.adjusted_p, lambda row: p_value(row.adjusted_p)),
)


def signals_parts(plan: Plan, panels: Sequence[Panel], pens: Mapping[str, Pen]) -> Iterator[Part]:
    """Build a part for each series of mixtures; nothing for a study that has none."""
    for index, one in enumerate(series(plan, panels)):
        yield _part(one, pens, anchor=f"signals{index + 1}")


def series(plan: Plan, panels: Sequence[Panel]) -> tuple[Series, ...]:
    """Return the panels of weak supervision on all rows, those of one kind together, by rising signal."""
    found: dict[tuple[object, ...], dict[Strength, Panel]] = {}
    for panel in panels:
        strength = _strength(plan, panel)
        if strength is not None:
            rows = "" if panel.rows is None else f", {panel.rows:,} pre-training rows"
            key = (panel.section.task.key, strength.background, f"{panel.size}{rows}")
            found.setdefault(key, {}).setdefault(strength, panel)
    return tuple(
        Series(str(key[-1]), tuple(sorted(some.items(), key=lambda item: item[0].signal)))
        for key, some in found.items()
        if len(some) > 1
    )


def _strength(plan: Plan, panel: Panel) -> Strength | None:
    """Return the signal of a panel's mixture; None for another task, or without trainings on all its rows."""
    whole = [one for one in panel.outcomes if one.trial.cell.budget is None]
    if panel.section.task.name != WeakSupervision.name or not whole:
        return None
    store = plan.graph.store(plan.runs[whole[0].trial.models[0]])
    if store.maker is None or store.maker.verb != "mix":
        return None
    signal = int(store.maker.values["count"])
    return Strength(signal, store.class_counts("train", SAMPLE)[MIXED] - signal)


def _part(one: Series, pens: Mapping[str, Pen], *, anchor: str) -> Part:
    sections = [panel.section for _, panel in one.panels]
    figures = []
    for metric in whole_metrics(sections[0].results[0].file):
        arms = [
            StrengthPoint(arm, strength, summarise(group, metric.name))
            for strength, _ in one.panels
            for arm in one.arms
            if (group := one.group(arm, strength)) is not None
        ]
        beside = [
            StrengthPoint(line.title, strength, line)
            for strength, panel in one.panels
            for line in baselines(panel.section, metric.name)
            if line.budget is None
        ]
        figures.append(strength_figure(arms, beside, metric, pens, name=f"{anchor}-{metric.name}"))
    controlled = any(not strength.signal for strength, _ in one.panels)
    blocks: tuple[Block, ...] = (
        Bullets(tuple(_sentence(one, arm) for arm in one.arms), answers=True),
        Text(CONTROL) if controlled else Text(NO_CONTROL, warning=True),
        *grid(figures),
        ReportTable(COLUMNS, one.found, TABLE, f"{anchor}-table", group=lambda row: row.strength.text),
    )
    return Part(anchor, "Found signal", blocks, heading=f"What is found of the signal: {one.name}")


def _sentence(one: Series, arm: str) -> str:
    """Say from how much signal on an arm is resolved above its control."""
    mine = [row for row in one.found if row.arm == arm]
    control = next((row for row in mine if not row.strength.signal), None)
    signals = [row for row in mine if row.strength.signal]
    from_here = [row for place, row in enumerate(signals) if all(later.is_found for later in signals[place:])]
    if control is None:
        answer = "there is no control without signal"
    elif from_here:
        first = from_here[0].strength
        answer = (
            f"above its control from {first.signal:,} signal rows on (S/√B "
            f"{significant(first.significance, 2)} before the cut)"
        )
    else:
        answer = "not resolved above its control with the largest signal"
    without = (
        "" if control is None else f"; without signal {number(control.summary.mean.value, one.metric.scale)}"
    )
    largest = signals[-1]
    return (
        f"{arm}: {answer}. {one.metric.title}: {number(largest.summary.mean.value, one.metric.scale)} with "
        f"{largest.strength.signal:,} signal rows{without}."
    )
