"""The report of a study: ``report.html``, a CSV file beside each figure and table, and ``results.csv``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hepfm.core.files import write_text
from hepfm.data.store import Store
from hepfm.report.blocks import Part
from hepfm.report.comparer import Comparer
from hepfm.report.figures.style import Pen, pens
from hepfm.report.gallery import gallery_part
from hepfm.report.generated_part import section_spectra
from hepfm.report.page import REPORT, Page, closing_parts
from hepfm.report.sections import BASELINE
from hepfm.report.task_part import task_part
from hepfm.study.compute_part import compute_part
from hepfm.study.config import StudyConfig
from hepfm.study.contrasts_part import contrasts_part
from hepfm.study.folder import StudyFolder
from hepfm.study.outcome import Missing, Outcome, collect, diagnosis
from hepfm.study.panels import Panel, panels
from hepfm.study.plan import Plan
from hepfm.study.registration import read_registration
from hepfm.study.results_file import RESULTS, results_file
from hepfm.study.scaling_part import scaling_part
from hepfm.study.scaling_runs import MeasuredTraining, measured_trainings
from hepfm.study.signals_part import signals_parts
from hepfm.study.trials_part import missing_part, rules_part
from hepfm.workflow.schedule import State

JET_FIELDS = ("jet_pt", "jet_eta", "jet_phi", "part_pt", "part_eta", "part_phi")
"""What the drawing of a jet needs."""


def write_report(plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> Path | None:
    """Write the report of what there is; None when no trial, and no training of a scaling law, has a result.

    The same results give the same bytes.
    """
    outcomes, missing = collect(plan, folder, states)
    scaled = measured_trainings(plan, folder, states)
    if not outcomes and not scaled:
        return None
    compared = [(panel, Comparer(panel.section)) for panel in panels(outcomes)]
    parts = (
        *_answers(plan.config, folder, compared),
        *_scaling(plan, folder, scaled),
        *signals_parts(plan, [panel for panel, _ in compared], _pens(plan.config)),
        *_panels(plan.config, compared),
        *([compute_part(outcomes)] if outcomes else []),
        *([rules_part(plan.config)] if plan.config.downstream else []),
        missing_part(missing, _failed(plan, folder, states)),
        *_galleries(plan, folder, states),
        *(closing_parts([panel.section for panel, _ in compared]) if compared else ()),
    )
    Page(plan.config.description or "A study", _lead(outcomes, missing, scaled), parts).write(folder.report)
    write_text(folder.path / RESULTS, results_file(plan, outcomes).to_csv())
    return folder.report / REPORT


def _answers(
    config: StudyConfig, folder: StudyFolder, compared: Sequence[tuple[Panel, Comparer]]
) -> Iterator[Part]:
    registration = read_registration(folder)
    if registration and registration.asks_contrasts:
        yield contrasts_part(config, compared, registration)


def _scaling(plan: Plan, folder: StudyFolder, scaled: Sequence[MeasuredTraining]) -> Iterator[Part]:
    if scaled:
        yield scaling_part(plan, scaled, read_registration(folder))


def _panels(config: StudyConfig, compared: Sequence[tuple[Panel, Comparer]]) -> Iterator[Part]:
    drawn_with = _pens(config)
    for index, (panel, comparer) in enumerate(compared):
        anchor = f"panel{index + 1}"
        title = f"{panel.section.task.title}: {panel.name}"
        yield task_part(
            comparer, pens=drawn_with, anchor=f"{anchor}-{panel.task}", title=title, effects=config.effects
        )
        yield from section_spectra(panel.section, pens=drawn_with, anchor=f"{anchor}-spectra")


def _pens(config: StudyConfig) -> dict[str, Pen]:
    return pens([*(arm for arm in config.arms if arm != BASELINE), BASELINE], BASELINE)


def _galleries(plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> Iterator[Part]:
    """Show the stores of jets with classes that the study simulated."""
    simulated = [name for name, run in plan.runs.items() if run.verb == "simulate" and states[name] == "done"]
    for index, name in enumerate(simulated):
        store = Store.open(folder.run(name).store)
        if store.schema.label_classes and all(field in store.schema for field in JET_FIELDS):
            yield gallery_part(store, anchor=f"store{index + 1}", name=plan.runs[name].note)


def _failed(plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> dict[str, str]:
    """Return every run that failed, with its diagnosis."""
    failures = {name: folder.run(name).failure() for name, state in states.items() if state == "failed"}
    return {
        f"{name} ({plan.runs[name].note})": diagnosis(failure)
        for name, failure in failures.items()
        if failure
    }


def _lead(outcomes: Sequence[Outcome], missing: Sequence[Missing], scaled: Sequence[MeasuredTraining]) -> str:
    arms = list(dict.fromkeys(outcome.trial.cell.arm for outcome in outcomes))
    lead = f"{len(outcomes)} trials of {len(arms)} arms: {', '.join(arms)}." if outcomes else ""
    if scaled:
        fitted = list(dict.fromkeys(one.planned.arm for one in scaled))
        lead = f"{lead} {len(scaled)} pre-trainings of a scaling law of {', '.join(fitted)}.".strip()
    if missing:
        lead += f" {len(missing)} trials have no result; they are listed at the end with the reason."
    return lead
