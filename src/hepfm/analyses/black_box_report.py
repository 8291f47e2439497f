"""The page of searches in data of unknown truth: what can be known of them, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.analyses.analysis import unfinished
from hepfm.analyses.anomaly import Key
from hepfm.analyses.anomaly_definitions import BLACK_BOX
from hepfm.analyses.anomaly_figures import sculpting_figure, spectrum_figure
from hepfm.analyses.anomaly_outcome import FALSE, Outcome, Quantiles, SearchGroup, groups
from hepfm.analyses.anomaly_report import finished, mass_axis, method_definitions, problem_lines
from hepfm.analyses.anomaly_tables import (
    AGREEMENT,
    BOX_HUNT,
    BOX_LIMIT,
    BOX_SCULPTING,
    AfterCut,
    Agreed,
    median_p,
)
from hepfm.analyses.cells import several
from hepfm.methods.anomaly.event_scores import FILE, read_columns, write_columns
from hepfm.methods.anomaly.outcome import kept_by
from hepfm.metrics.agreement import agreement
from hepfm.report.blocks import Block, Bullets, Definitions, Part, Text, grid
from hepfm.report.figures.style import Figure
from hepfm.report.page import REPORT, Page
from hepfm.report.table import ReportTable
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State

if TYPE_CHECKING:
    from hepfm.analyses.anomaly import AnomalySearch, SearchConfig

Ranks = Mapping[str, Sequence[Mapping[str, Any]]]
"""By method: of each training the columns of its file of events."""


def write_report(
    analysis: AnomalySearch, workspace: Workspace, states: Mapping[str, State]
) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
    """Write ``report/`` and the ranks of all events; nothing while no search is done."""
    runs, config = analysis.runs(), analysis.config
    outcomes = finished(runs, workspace, states)
    if not outcomes:
        return None, {}, {}
    found, mass = groups(outcomes), mass_axis(config, workspace, runs, "data")
    ranks: dict[str, list[Mapping[str, Any]]] = {}
    for key in outcomes:
        columns = read_columns(workspace.run(runs[key].name).path / FILE)
        ranks.setdefault(key.method, []).append(columns)
    parts = (
        _hunt_part(config, found, mass),
        _trainings_part(config, ranks),
        _sculpting_part(config, found, mass),
        _runs_part(config, workspace, runs, states, outcomes),
        Part("method", "Definitions and method", (Definitions((*BLACK_BOX, *method_definitions(config))),)),
    )
    title = config.description or "Searches in data of unknown truth"
    Page(title, _lead(config, outcomes), parts).write(workspace.path / "report")
    scores = _write_means(config, ranks, workspace.path / FILE)
    return workspace.path / "report" / REPORT, {"ranks of the events": scores}, _numbers(config, found)


def _lead(config: SearchConfig, outcomes: Mapping[Key, Outcome]) -> str:
    (low, high), events = config.regions.signal, next(iter(outcomes.values()))["events"]
    return (
        f"Search for a resonance in {config.regions.field} between {low:g} and {high:g} in data of unknown "
        f"truth: {events['data']:,} events from {config.regions.ends[0]:g} to {config.regions.ends[1]:g}, "
        f"{events['region']:,} of them in the signal region; {len(config.methods)} methods, "
        f"{several(config.trainings, 'training')} of each."
    )


def _rows(config: SearchConfig, found: Sequence[SearchGroup]) -> tuple[AfterCut, ...]:
    """Return the searches after each cut."""
    return tuple(
        AfterCut(one, place, efficiency)
        for one in found
        for place, efficiency in enumerate(config.cuts)
        if efficiency < 1
    )


def _hunt_part(config: SearchConfig, found: Sequence[SearchGroup], mass: str) -> Part:
    limited = config.test_signal is not None
    tests = len(found) * len(config.efficiencies) + 1
    unknown = (
        "Which events are signal is not known: no significance improvement, no efficiency and no rate of "
        "false positives can be measured here. Simulated data with injected signal can show them for the "
        "same options."
    )
    chosen = (
        f"{tests} spectra are tested, the data before a cut and after {len(config.efficiencies)} cuts of "
        f"{len(found)} methods: the smallest of their p-values is not that of the search. What is quoted is "
        "to be chosen before it is looked at."
    )
    said = [unknown, chosen]
    if not limited:
        said.append("There is no simulated test signal, so that a limit on a signal is not known.")
    columns = (*BOX_HUNT, *(BOX_LIMIT if limited and config.hunt.limit else ()))
    before = AfterCut(found[0], 0, 1.0)  # the same events in all methods and trainings
    table = ReportTable(
        columns,
        (before, *_rows(config, found)),
        caption=(
            "Bump hunt in the data, and after cuts that keep a part of them"
            + (", with the upper limit on the number of signal events" if limited else "")
            + ". Medians, and 16 % to 84 % over trainings, which are no statistical uncertainties. A global "
            f"p-value is 1/{config.hunt.pseudo_experiments + 1} at least: one more than pseudo-experiments."
        ),
        name="bump-hunt",
        group=lambda row: (row.efficiency < 1, row.group.method),
    )
    blocks: tuple[Block, ...] = (
        Bullets(tuple(said)),
        *_sculpted(config, found),
        *grid(_spectra(config, found, mass)),
        table,
    )
    return Part("hunt", "Bump hunt", blocks)


def _sculpted(config: SearchConfig, found: Sequence[SearchGroup]) -> list[Text]:
    """Return a warning for each cut that changes the spectrum of true background."""
    warnings = []
    for row in _rows(config, found):
        p = Quantiles.of(row.group.of_sculpting(row.cut, "p"))
        if p is not None and p.median < FALSE:
            words = (
                f"{row.group.method}, {100 * row.efficiency:g} % of the data kept: the cut changes the "
                f"spectrum of true background (χ², p {median_p(p)}). It can make a bump, or hide one."
            )
            warnings.append(Text(words, warning=True))
    return warnings


def _spectra(config: SearchConfig, found: Sequence[SearchGroup], mass: str) -> list[Figure]:
    """Return the spectrum of the data, and of each method that after each cut in its first training."""
    figures = []
    for number, one in enumerate(found):
        for place, efficiency in enumerate(config.cuts):
            if efficiency == 1 and number:
                continue  # that of the first method already
            whole = efficiency == 1
            figures.append(
                spectrum_figure(
                    one.outcomes[0],
                    place,
                    name="spectrum" if whole else f"spectrum-{one.method}-{100 * efficiency:g}",
                    xlabel=mass,
                    caption="The data before any cut."
                    if whole
                    else f"{one.method}, first training, {100 * efficiency:g} % of the data kept.",
                )
            )
    return [figure for figure in figures if figure is not None]


def _trainings_part(config: SearchConfig, ranks: Ranks) -> Part:
    rows = []
    for method, trainings in ranks.items():
        inside = config.regions.inside(trainings[0][config.regions.field])
        if len(trainings) < 2 or inside.sum() < 2:
            continue
        rank_TR = np.stack([one["rank"] for one in trainings])
        for efficiency in config.efficiencies:
            kept_TR = kept_by(rank_TR, efficiency)[:, inside]
            rows.append(Agreed(method, efficiency, len(trainings), agreement(rank_TR[:, inside], kept_TR)))
    if not rows:
        words = "There is one training of each method: how far its events are chosen by chance is not known."
        return Part("trainings", "Trainings", (Text(f"{words} Set trainings to 2 or more.", warning=True),))
    table = ReportTable(
        AGREEMENT,
        tuple(rows),
        caption=(
            "Events of the signal region that two trainings keep. Where they have little more in common than "
            "by chance, the cut selects noise: of the training, or where there is no signal to be found."
        ),
        name="agreement",
        group=lambda row: row.method,
    )
    return Part("trainings", "Trainings", (table,))


def _sculpting_part(config: SearchConfig, found: Sequence[SearchGroup], mass: str) -> Part:
    if config.test_background is None:
        words = (
            "There is no background of known truth (test_background): whether cuts change its spectrum, and "
            "so make bumps, is not known."
        )
        return Part("sculpting", "Sculpting", (Text(words, warning=True),))
    figures = [
        sculpting_figure(
            one.outcomes[0],
            name=f"sculpting-{one.method}",
            xlabel=mass,
            caption=f"{one.method}: true test background before and after cuts, first training.",
        )
        for one in found
    ]
    table = ReportTable(
        BOX_SCULPTING,
        _rows(config, found),
        caption="Does a cut change the spectrum of true background? Medians over trainings.",
        name="sculpting",
        group=lambda row: row.group.method,
    )
    return Part("sculpting", "Sculpting", (*grid(figures), table))


def _runs_part(
    config: SearchConfig,
    workspace: Workspace,
    runs: Mapping[Key, Run],
    states: Mapping[str, State],
    outcomes: Mapping[Key, Outcome],
) -> Part:
    named = {f"{key.method}, training {key.training}": run for key, run in runs.items()}
    lines = [*unfinished(named, workspace, states), *problem_lines(outcomes)]
    test = next(iter(outcomes.values()))["test"]
    kinds = [kind for kind in ("signal", "background") if f"test_{kind}" in config.samples]
    tested = " and ".join(f"{test[kind]:,} {kind}" for kind in kinds)
    lead = f"{len(outcomes)} of {len(runs)} searches are done" + (
        f"; {tested} test events are in the signal region." if tested else "."
    )
    blocks: list[Block] = [Text(lead)]
    if lines:
        blocks.append(Bullets(tuple(lines)))
    return Part("runs", "Events and runs", tuple(blocks))


def _write_means(config: SearchConfig, ranks: Ranks, path: Path) -> Path:
    """Write the mean rank of each event over the trainings of each method."""
    first = next(iter(ranks.values()))[0]
    means = {
        f"rank_{method}": np.mean([one["rank"] for one in trainings], axis=0)
        for method, trainings in ranks.items()
    }
    field = config.regions.field
    write_columns(path, {"row": first["row"], field: first[field], **means})
    return path


def _numbers(config: SearchConfig, found: Sequence[SearchGroup]) -> dict[str, Any]:
    """Return the numbers of the main table, by method and part of the data."""
    numbers: dict[str, Any] = {}
    for row in (*(AfterCut(one, 0, 1.0) for one in found), *_rows(config, found)):
        values = {
            key: Quantiles.of(row.group.of_hunt(row.cut, key))
            for key in ("observed", "expected", "p_region", "p_global", "limit")
        }
        numbers.setdefault(row.group.method, {})[f"{row.efficiency:g}"] = {
            key: one and [one.low, one.median, one.high] for key, one in values.items()
        }
    return numbers
