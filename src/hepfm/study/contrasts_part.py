"""The part of a study's report that answers what was asked beforehand: the registered contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hepfm.metrics.contrast import read_contrast
from hepfm.report import html
from hepfm.report.comparer import Comparer, measured_by_row
from hepfm.report.difference import Difference, corrected
from hepfm.report.difference_table import HOW, NO_SCORES, difference_table, differences_csv, p_text, shown
from hepfm.report.preference import primary_metric
from hepfm.report.results import budget_text
from hepfm.report.section import Part
from hepfm.study.config import RegisteredContrast, StudyConfig
from hepfm.study.outcome import Panel
from hepfm.study.registration import Registration, registration_text
from hepfm.study.trials_part import panel_name

HOLM = " p (Holm) is corrected over all lines of a family, in all tasks."
MARGIN = (
    " 'equivalent within' a margin: both one-sided tests against the margin, corrected over the family, are "
    "below 0.05, and the interval over test jets lies inside it."
)


@dataclass(frozen=True)
class Answer:
    """A registered contrast at one budget, in one panel."""

    family: str
    where: str
    difference: Difference


def answers(config: StudyConfig, panels: Sequence[tuple[Panel, Comparer]]) -> tuple[Answer, ...]:
    """Measure every registered contrast and correct each family, in the order of the file.

    A contrast without results at a budget is not in it, and does not count for the correction.
    """
    found = [
        Answer(one.family, panel_name(panel), difference)
        for name, one in config.contrasts.items()
        for panel, comparer in panels
        if panel.task == one.task
        for difference in _differences(name, one, config, comparer)
    ]
    families = dict.fromkeys(one.family for one in found)
    by_family = {family: [one for one in found if one.family == family] for family in families}
    return tuple(
        replace(one, difference=difference)
        for members in by_family.values()
        for one, difference in zip(members, corrected([one.difference for one in members]), strict=True)
    )


def _differences(
    name: str, one: RegisteredContrast, config: StudyConfig, comparer: Comparer
) -> list[Difference]:
    contrast = read_contrast(one.contrast)
    file = comparer.section.results[0].file
    metric = primary_metric(file) if one.metric is None else file.metric(one.metric)
    named = replace(contrast, name=f"{name}: {contrast.name}")
    measured = [
        comparer.difference(named, budget, metric, margin=one.equivalence)
        for budget in config.budgets_of(one)
    ]
    return [difference for difference in measured if difference is not None]


def contrasts_part(
    config: StudyConfig, panels: Sequence[tuple[Panel, Comparer]], registration: Registration
) -> Part:
    """Build the part: the sentence of each contrast, then the table."""
    found = answers(config, panels)
    kind = "" if registration.beforehand else "worse"
    body = html.paragraph(registration_text(registration), kind=kind)
    if not found:
        body += html.paragraph("None of the registered contrasts has results yet.")
    tables = {}
    if found:
        table = differences_csv([one.difference for one in found], _leading(found))
        body += f'<div class="glance">{html.bullets([_sentence(one) for one in found])}</div>'
        scored = all(measured_by_row(panel.section) for panel, _ in panels)
        caption = HOW + ("" if scored else NO_SCORES) + HOLM
        caption += MARGIN if any(one.difference.margin is not None for one in found) else ""
        body += difference_table(
            [one.difference for one in found],
            caption=caption,
            families=[f"{one.family} ({one.where})" for one in found],
        ) + html.csv_link(table, "contrasts")
        tables = {"contrasts": table}
    title = "Registered contrasts"
    return Part("contrasts", title, html.section("contrasts", title, body), tables)


def _leading(found: Sequence[Answer]) -> Mapping[str, list[str]]:
    return {"family": [one.family for one in found], "panel": [one.where for one in found]}


def _sentence(one: Answer) -> str:
    difference = one.difference
    mean, show = difference.over_trainings, shown(difference.metric)
    value = "no value" if mean.value is None else show(mean.value)
    return (
        f"{difference.contrast.name}, {difference.metric.title}, {one.where}, "
        f"{budget_text(difference.budget)}: {difference.verdict} ({value}, p {p_text(difference.p)}, with "
        f"Holm {p_text(difference.adjusted_p)})."
    )
