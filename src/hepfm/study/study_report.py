"""The report of a study: ``report.html``, a CSV file beside each figure and table, and ``results.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hepfm.core.files import atomic_path, write_text
from hepfm.study.compare import CSV, REPORT
from hepfm.study.compute_part import compute_part
from hepfm.study.execute import State
from hepfm.study.figures.style import pens
from hepfm.study.folder import StudyFolder
from hepfm.study.generated_part import section_spectra
from hepfm.study.outcome import Missing, Outcome, collect, panels, results_table
from hepfm.study.plan import Plan
from hepfm.study.report import render
from hepfm.study.results import BASELINE
from hepfm.study.section import Part
from hepfm.study.trials_part import missing_part, panel_part, rules_part

RESULTS = "results.csv"


def write_report(plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> Path | None:
    """Write the report of what there is; None when no trial has a result.

    The same results give the same bytes.
    """
    outcomes, missing = collect(plan, folder, states)
    if not outcomes:
        return None
    found = panels(outcomes)
    parts = _parts(plan, outcomes, missing, _lost(plan, folder, states))
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
    plan: Plan, outcomes: tuple[Outcome, ...], missing: tuple[Missing, ...], lost: Mapping[str, str]
) -> list[Part]:
    drawn_with = pens([arm for arm in plan.config.arms if arm != BASELINE] + [BASELINE], BASELINE)
    parts = [rules_part(plan.config)]
    for index, panel in enumerate(panels(outcomes)):
        parts.append(panel_part(panel, pens=drawn_with, anchor=f"panel{index + 1}-{panel.task}"))
        spectra = section_spectra(panel.section, pens=drawn_with, anchor=f"panel{index + 1}-spectra")
        parts += [spectra] if spectra else []
    return [*parts, compute_part(outcomes), missing_part(missing, lost)]


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
