"""The part of a study's report that answers what was asked beforehand: the registered contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hepfm.metrics.contrast import read_contrast
from hepfm.report.blocks import Block, Bullets, Part, Text
from hepfm.report.comparer import Comparer, task_of
from hepfm.report.difference import Difference, corrected
from hepfm.report.difference_table import difference_table, mean_text
from hepfm.report.formats import p_value
from hepfm.report.preference import primary_metric
from hepfm.report.sections import budget_text
from hepfm.study.config import StudyConfig
from hepfm.study.panels import Panel
from hepfm.study.registered_contrast import RegisteredContrast
from hepfm.study.registration import Registration, registration_text

HOLM = " p (Holm) is corrected over all lines of a family, in all tasks."
MARGIN = (
    " 'equivalent within' a margin: both one-sided tests against the margin, corrected over the family, are "
    "below 0.05, and the interval over test rows lies inside it."
)


def answers(config: StudyConfig, panels: Sequence[tuple[Panel, Comparer]]) -> tuple[Difference, ...]:
    """Measure every registered contrast and correct each family, in the order of the file.

    A contrast without results at a budget is not in it, and does not count for the correction.
    """
    return corrected(
        [
            difference
            for name, contrast in config.contrasts.items()
            for panel, comparer in panels
            if panel.task == contrast.task
            for difference in _differences(name, contrast, config, panel, comparer)
        ]
    )


def _differences(
    name: str, registered: RegisteredContrast, config: StudyConfig, panel: Panel, comparer: Comparer
) -> list[Difference]:
    contrast = read_contrast(registered.contrast)
    file = comparer.section.results[0].file
    metric = primary_metric(file) if registered.metric is None else file.metric(registered.metric)
    named = replace(contrast, name=f"{name}: {contrast.name}")
    measured = [
        comparer.difference(named, budget, metric, margin=registered.equivalence)
        for budget in config.budgets_of(registered)
    ]
    return [
        replace(difference, family=registered.family, where=panel.name)
        for difference in measured
        if difference is not None
    ]


def contrasts_part(
    config: StudyConfig, panels: Sequence[tuple[Panel, Comparer]], registration: Registration
) -> Part:
    """Build the part: the sentence of each contrast, then the table."""
    registered = Text(registration_text(registration), warning=not registration.beforehand)
    differences = answers(config, panels)
    return Part("contrasts", "Registered contrasts", (registered, *_blocks(differences, panels)))


def _blocks(differences: Sequence[Difference], panels: Sequence[tuple[Panel, Comparer]]) -> list[Block]:
    if not differences:
        return [Text("None of the registered contrasts has results yet.")]
    note = HOLM + (MARGIN if any(one.margin is not None for one in differences) else "")
    counted = {panel.name: task_of(comparer.section).counted for panel, comparer in panels}
    scored = all(comparer.by_row for _, comparer in panels)
    return [
        Bullets(tuple(_sentence(one, counted[one.where]) for one in differences), answers=True),
        *difference_table(differences, note=note, scored=scored, name="contrasts"),
    ]


def _sentence(difference: Difference, counted: str) -> str:
    return (
        f"{difference.contrast.name}, {difference.metric.title}, {difference.where}, "
        f"{budget_text(difference.budget, counted)}: {difference.verdict} ({mean_text(difference)}, "
        f"p {p_value(difference.p)}, with Holm {p_value(difference.adjusted_p)})."
    )
