"""The page of searches for anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.analyses.analysis import unfinished
from hepfm.analyses.anomaly import Key
from hepfm.analyses.anomaly_definitions import INJECTED
from hepfm.analyses.anomaly_figures import sculpting_figure, spectrum_figure
from hepfm.analyses.anomaly_outcome import FALSE, Outcome, Rate, SearchGroup, groups
from hepfm.analyses.anomaly_tables import BEST, HUNT, NULL, SCULPTING, AfterCut
from hepfm.analyses.cells import axis, several
from hepfm.core.files import read_json
from hepfm.data.store import Store
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.outcome import GRID
from hepfm.methods.observables import unit_of
from hepfm.report.blocks import Block, Bullets, Definitions, Part, Text, grid
from hepfm.report.figures.improvement import Band, improvement_figure
from hepfm.report.figures.style import Figure
from hepfm.report.page import REPORT, Page
from hepfm.report.table import ReportTable
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.anomaly import OUTCOME
from hepfm.workflow.verbs.base import store_path

if TYPE_CHECKING:
    from hepfm.analyses.anomaly import AnomalySearch, SearchConfig

_FEWEST_FOR_BANDS = 3


def write_report(
    analysis: AnomalySearch, workspace: Workspace, states: Mapping[str, State]
) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
    """Write ``report/`` of what there is; nothing while no search is done."""
    runs = analysis.runs()
    outcomes = finished(runs, workspace, states)
    if not outcomes:
        return None, {}, {}
    config, found = analysis.config, groups(outcomes)
    mass = mass_axis(config, workspace, runs)
    independent = groups({key: one for key, one in outcomes.items() if key.training == 1})
    parts = (
        _improvement_part(config, found),
        *_null_part(config, independent, _pool(workspace, runs, states)),
        _hunt_part(config, found, outcomes, mass),
        _sculpting_part(config, found, outcomes, mass),
        _runs_part(config, workspace, runs, states, outcomes),
        Part("method", "Definitions and method", (Definitions((*INJECTED, *method_definitions(config))),)),
    )
    Page(config.description or "Searches for anomalies", _lead(config, outcomes), parts).write(
        workspace.path / "report"
    )
    return workspace.path / "report" / REPORT, {}, _numbers(found)


def finished(
    runs: Mapping[Key, Run], workspace: Workspace, states: Mapping[str, State]
) -> dict[Key, Outcome]:
    """Return what the searches found that are done."""
    return {
        key: read_json(workspace.run(run.name).path / OUTCOME)
        for key, run in runs.items()
        if states[run.name] == "done"
    }


def mass_axis(
    config: SearchConfig, workspace: Workspace, runs: Mapping[Key, Run], sample: str = "background"
) -> str:
    """Return the label of the axis of the field in which the resonance is, in the unit of a sample."""
    store = Store.open(store_path(workspace, next(iter(runs.values())), sample))
    return axis(config.regions.field, unit_of(store.schema, config.regions.field))


def _lead(config: SearchConfig, outcomes: Mapping[Key, Outcome]) -> str:
    (low, high), first = config.regions.signal, next(iter(outcomes.values()))["events"]
    return (
        f"Searches for a resonance in {config.regions.field} between {low:g} and {high:g}, with sidebands "
        f"from {config.regions.ends[0]:g} to {config.regions.ends[1]:g}: {len(config.methods)} methods, "
        f"{', '.join(f'{number:,}' for number in config.signals)} injected signal events, "
        f"{several(config.draws, 'draw')} of {first['data'] - first['injected']:,} background events, "
        f"{several(config.trainings, 'training')} of each."
    )


def method_definitions(config: SearchConfig) -> list[tuple[str, str]]:
    """Return what the methods of a recipe are."""
    entries = ANOMALY_METHODS.entries()
    return [(name, entries[one.name].summary) for name, one in config.methods.items()]


def _by_signals(config: SearchConfig, found: Sequence[SearchGroup]) -> list[SearchGroup]:
    """Return groups in the order of the numbers of signal events."""
    return sorted(found, key=lambda one: config.signals.index(one.signals))


def _improvement_part(config: SearchConfig, found: Sequence[SearchGroup]) -> Part:
    names = list(config.methods)
    figures = [
        _curve_figure(signals, [one for one in found if one.signals == signals], names, config)
        for signals in config.signals
        if any(one.signals == signals for one in found)
    ]
    maximum = _maximum_figure(found, names, config)
    table = ReportTable(
        BEST,
        tuple(AfterCut(one, 0, config.efficiencies[0]) for one in _by_signals(config, found)),
        caption=(
            "Largest significance improvement in the signal region, among thresholds that at least "
            f"{config.least_background} test background events pass, with both efficiencies there. Median "
            "and 16 % to 84 % over draws and trainings; S and B are of the data in the signal region."
        ),
        name="improvement",
        group=lambda row: row.group.signals,
    )
    return Part("improvement", "Significance improvement", (*grid([*maximum, *figures]), table))


def _curve_figure(
    signals: int, found: Sequence[SearchGroup], names: Sequence[str], config: SearchConfig
) -> Figure:
    bands = []
    for one in found:
        low, middle, high = one.curve
        bands.append(Band(one.method, 1 / GRID, middle, low, high))
    draws = max(len(one.outcomes) for one in found)
    return improvement_figure(
        bands,
        names,
        name=f"improvement-{signals}",
        xlabel="background rejection 1/ε_B",
        ylabel="ε_S/√ε_B",
        caption=(
            f"{signals:,} signal events injected. Median and 16 % to 84 % of {draws} draws and trainings, "
            f"where at least {config.least_background} test background events pass."
        ),
    )


def _maximum_figure(found: Sequence[SearchGroup], names: Sequence[str], config: SearchConfig) -> list[Figure]:
    bands = []
    for name in names:
        ones = sorted(
            (one for one in found if one.method == name and one.signals), key=lambda one: one.fraction
        )
        quantiles = [(one.fraction, best) for one in ones if (best := one.best()) is not None]
        if len(quantiles) > 1:
            x = np.array([100 * fraction for fraction, _ in quantiles])
            values = [
                np.array([getattr(best, key) for _, best in quantiles]) for key in ("median", "low", "high")
            ]
            bands.append(Band(name, x, *values))
    if not bands:
        return []
    return [
        improvement_figure(
            bands,
            names,
            name="improvement-by-signal",
            xlabel="S/B in the signal region [%]",
            ylabel="largest ε_S/√ε_B",
            caption=(
                "Median and 16 % to 84 % over draws and trainings, where at least "
                f"{config.least_background} test background events pass."
            ),
        )
    ]


def _cuts(config: SearchConfig, found: Sequence[SearchGroup]) -> tuple[AfterCut, ...]:
    return tuple(
        AfterCut(one, place, efficiency)
        for one in found
        for place, efficiency in enumerate(config.efficiencies)
    )


def _null_part(config: SearchConfig, found: Sequence[SearchGroup], pool: int | None) -> list[Part]:
    """Return the control without signal; nothing where there is none."""
    null = [one for one in found if one.signals == 0]
    if not null:
        return []
    rows = _cuts(config, null)
    blocks: list[Block] = []
    used = next(iter(null)).outcomes[0]["events"]["data"] * config.draws
    if config.draws > 1 and pool is not None and used > pool:
        blocks.append(
            Text(
                f"{config.draws} draws need {used:,} background events and there are {pool:,}: draws share "
                "events, are not independent, and the intervals below are too narrow.",
                warning=True,
            )
        )
    for row in rows:
        for what, key in (("signal region", "p_region"), ("bump hunt", "p_global")):
            rate = Rate.of(row.group.of_hunt(row.cut, key))
            if rate is not None and rate.interval[0] > FALSE:
                blocks.append(
                    Text(
                        f"{row.group.method}, {100 * row.efficiency:g} % of the data kept, {what}: "
                        f"{rate.passed} of {rate.total} draws without signal have p < {FALSE}. Its p-values "
                        "are not to be taken at their word.",
                        warning=True,
                    )
                )
    blocks.append(
        ReportTable(
            NULL,
            rows,
            caption=(
                f"Searches without signal: draws with a p-value below {FALSE}, with the 95 % interval of "
                "their fraction (one training of each draw), and events of the region over those expected."
            ),
            name="no-signal",
            group=lambda row: row.group.method,
        )
    )
    return [Part("control", "Control without signal", tuple(blocks))]


def _hunt_part(
    config: SearchConfig, found: Sequence[SearchGroup], outcomes: Mapping[Key, Outcome], mass: str
) -> Part:
    table = ReportTable(
        HUNT,
        _cuts(config, [one for one in _by_signals(config, found) if one.signals]),
        caption=(
            "Bump hunt after cuts that keep a part of the data: events of the signal region, p-values, and "
            "the upper limit on the number of signal events. Medians, and 16 % to 84 % over draws."
        ),
        name="bump-hunt",
        group=lambda row: (row.group.signals, row.group.method),
    )
    figures = [
        figure
        for method in config.methods
        if (figure := _spectrum_figure(config, method, max(config.signals), outcomes, mass)) is not None
    ]
    return Part("hunt", "Bump hunt and limits", (*grid(figures), table))


def _first(method: str, signals: int, outcomes: Mapping[Key, Outcome]) -> Outcome | None:
    chosen = [key for key in outcomes if key.method == method and key.signals == signals]
    return outcomes[min(chosen)] if chosen else None


def _spectrum_figure(
    config: SearchConfig, method: str, signals: int, outcomes: Mapping[Key, Outcome], mass: str
) -> Figure | None:
    """Draw the spectrum of the first draw after the cut in the middle."""
    one, place = _first(method, signals, outcomes), len(config.efficiencies) // 2
    if one is None:
        return None
    cut = one["cuts"][place]
    return spectrum_figure(
        one,
        place,
        name=f"spectrum-{method}",
        xlabel=mass,
        caption=(
            f"{method}, first draw with {signals:,} signal events, {100 * cut['efficiency']:g} % of the data "
            f"kept. {cut['injected_kept']} of the injected events of the signal region are left."
        ),
    )


def _sculpting_part(
    config: SearchConfig, found: Sequence[SearchGroup], outcomes: Mapping[Key, Outcome], mass: str
) -> Part:
    least = min(config.signals)
    table = ReportTable(
        SCULPTING,
        _cuts(config, [one for one in found if one.signals in (least, max(config.signals))]),
        caption=(
            "Does a cut change the spectrum of true background? Medians over draws and trainings, and the "
            f"fraction of them with p below {FALSE}. All share the test events."
        ),
        name="sculpting",
        group=lambda row: row.group.method,
    )
    figures = [
        figure
        for method in config.methods
        if (one := _first(method, least, outcomes)) is not None
        for figure in [
            sculpting_figure(
                one,
                name=f"sculpting-{method}",
                xlabel=mass,
                caption=(
                    f"{method}: true test background before and after cuts, first draw with the least signal."
                ),
            )
        ]
    ]
    return Part("sculpting", "Sculpting", (*grid(figures), table))


def _pool(workspace: Workspace, runs: Mapping[Key, Run], states: Mapping[str, State]) -> int | None:
    """Return the number of background events that draws are made of."""
    for run in runs.values():
        if states[run.name] == "done" and (facts := workspace.run(run.name).facts()):
            return int(facts["pool"])
    return None


def _runs_part(
    config: SearchConfig,
    workspace: Workspace,
    runs: Mapping[Key, Run],
    states: Mapping[str, State],
    outcomes: Mapping[Key, Outcome],
) -> Part:
    named = {
        f"{key.method}, {key.signals} signal events, draw {key.draw}, training {key.training}": run
        for key, run in runs.items()
    }
    lines = [*unfinished(named, workspace, states), *problem_lines(outcomes)]
    test = next(iter(outcomes.values()))["test"]
    lead = (
        f"{len(outcomes)} of {len(runs)} searches are done; {test['signal']:,} signal and "
        f"{test['background']:,} background test events are in the signal region."
    )
    blocks: list[Block] = [Text(lead)]
    if len(outcomes) and config.draws < _FEWEST_FOR_BANDS:
        blocks.append(Text(f"{config.draws} draws say little of the spread between them.", warning=True))
    if lines:
        blocks.append(Bullets(tuple(lines)))
    return Part("runs", "Events and runs", tuple(blocks))


def problem_lines(outcomes: Mapping[Key, Outcome]) -> list[str]:
    """Return what bump hunts could not be made of, with the number of searches."""
    problems: dict[str, int] = {}
    for key, one in outcomes.items():
        for cut in one["cuts"]:
            if cut["problem"]:
                words = f"{key.method}, {100 * cut['efficiency']:g} % of the data kept: {cut['problem']}"
                problems[words] = problems.get(words, 0) + 1
    return [f"{words} ({count} searches)" for words, count in problems.items()]


def _numbers(found: Sequence[SearchGroup]) -> dict[str, Any]:
    """Return the numbers of the main table."""
    numbers: dict[str, Any] = {}
    for one in found:
        best = one.best()
        numbers.setdefault(one.method, {})[str(one.signals)] = {
            "improvement": best and [best.low, best.median, best.high],
            "signal_over_background": one.fraction,
            "false_positives": None
            if one.signals
            else [
                (rate.passed, rate.total)
                for place in range(len(one.outcomes[0]["cuts"]))
                if (rate := Rate.of(one.of_hunt(place, "p_region"))) is not None
            ],
        }
    return numbers
