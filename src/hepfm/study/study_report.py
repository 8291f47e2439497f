"""The report of a study: ``report.html``, a CSV file beside each figure and table, and ``results.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hepfm.core.files import atomic_path, write_text
from hepfm.report.compare import CSV, REPORT
from hepfm.report.comparer import Comparer
from hepfm.report.figures.style import pens
from hepfm.report.generated_part import section_spectra
from hepfm.report.page import render
from hepfm.report.results import BASELINE
from hepfm.report.section import Part, section_part
from hepfm.study.compute_part import compute_part
from hepfm.study.contrasts_part import contrasts_part
from hepfm.study.folder import StudyFolder
from hepfm.study.outcome import Missing, Outcome, Panel, collect, panels, results_table
from hepfm.study.plan import Plan
from hepfm.study.registration import read_registration
from hepfm.study.trials_part import missing_part, panel_name, rules_part
from hepfm.workflow.schedule import State

RESULTS = "results.csv"


def write_report(plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> Path | None:
    """Write the report of what there is; None when no trial has a result.

    The same results give the same bytes.
    """
    outcomes, missing = collect(plan, folder, states)
    if not outcomes:
        return None
    found = panels(outcomes)
    parts = [*_parts(plan, folder, found, outcomes), missing_part(missing, _lost(plan, folder, states))]
    title = plan.config.description or "A study"
    page = render([panel.section for panel in found], parts, title=title, lead=_lead(outcomes, missing))
    with atomic_path(folder.report) as temporary:
        (temporary / CSV).mkdir(parents=True)
        for part in parts:
            for name, table in part.tables.items():
                (temporary / CSV / f"{name}.csv").write_text(table.to_csv(), encoding="utf-8")
        (temporary / REPORT).write_text(page, encoding="utf-8")
    write_text(folder.path / RESULTS, results_table(plan, outcomes).to_csv())
    return folder.report / REPORT


def _parts(
    plan: Plan, folder: StudyFolder, found: Sequence[Panel], outcomes: tuple[Outcome, ...]
) -> list[Part]:
    """Return the answers first, then the panels, cost and rules."""
    config = plan.config
    drawn_with = pens([arm for arm in config.arms if arm != BASELINE] + [BASELINE], BASELINE)
    compared = [(panel, Comparer(panel.section)) for panel in found]
    registration = read_registration(folder)
    parts = [contrasts_part(config, compared, registration)] if registration else []
    for index, (panel, comparer) in enumerate(compared):
        parts.append(
            section_part(
                comparer,
                pens=drawn_with,
                anchor=f"panel{index + 1}-{panel.task}",
                title=f"{panel.section.task.title}: {panel_name(panel)}",
                effects=config.effects,
            )
        )
        spectra = section_spectra(panel.section, pens=drawn_with, anchor=f"panel{index + 1}-spectra")
        parts += [spectra] if spectra else []
    return [*parts, compute_part(outcomes), rules_part(config)]


def _lost(plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> dict[str, str]:
    """Return every run that failed, with its diagnosis."""
    found = {}
    for name, state in states.items():
        failure = folder.run(name).failure() if state == "failed" else None
        if failure:
            last = failure["message"].strip().splitlines()[-1]
            found[f"{name} ({plan.runs[name].note})"] = f"{failure['kind']}: {last}"
    return found


def _lead(outcomes: tuple[Outcome, ...], missing: tuple[Missing, ...]) -> str:
    arms = list(dict.fromkeys(one.trial.cell.arm for one in outcomes))
    text = f"{len(outcomes)} trials of {len(arms)} arms: {', '.join(arms)}."
    if missing:
        text += f" {len(missing)} trials have no result; they are listed at the end with the reason."
    return text
