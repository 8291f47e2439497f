"""The page of an unfolding, and its file of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.analyses.analysis import unfinished
from hepfm.analyses.cells import CHI_SQUARED, TRIANGULAR, axis, chi_value, per_cent, several
from hepfm.analyses.merged_weights import merged_weights, weights_of
from hepfm.analyses.unfold import BOOTSTRAP, FEWEST, NOMINAL
from hepfm.analyses.unfold_outcome import UnfoldedSpectrum
from hepfm.analyses.unfold_tables import CHANGES, DIAGNOSIS, ERRORS, TRUTH, Change, WeightsRow
from hepfm.core.files import read_json
from hepfm.data.learned_weights import FILE, LearnedWeights
from hepfm.data.store import Store
from hepfm.methods.observables import unit_of
from hepfm.report.blocks import Block, Bullets, Definitions, Part, Text, grid
from hepfm.report.figures.ratio_panel import RatioCurve, ratio_figure
from hepfm.report.figures.style import Figure
from hepfm.report.page import REPORT, Page
from hepfm.report.table import ReportTable
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.base import store_path
from hepfm.workflow.verbs.unfold import PROJECTIONS

if TYPE_CHECKING:
    from hepfm.analyses.unfold import UnfoldAnalysis, UnfoldConfig

MOST_TOP_SHARE = 0.2
"""Share of the hundredth of events with the largest weights above which the page warns."""

METHOD = (
    (
        "OmniFold",
        (
            "Step 1 learns how data differ from the weighted simulation at detector level, step 2 what of "
            "this is a function of the particle level (1911.09107). The ratio of each step is normalised to "
            "the sum of the weights that it is to reproduce. Events that are not detected take part as the "
            "recipe says (omnifold.inefficiency); events that are not generated are fakes and keep their "
            "weight."
        ),
    ),
    (
        "Uncertainties",
        (
            "Statistical: standard deviation over bootstrap replicas of data and simulation, event by event, "
            "Poisson(1). Each replica is trained once, so that the noise of training is in it too. Training: "
            "of the mean over trainings with other seeds. Systematic: the change with another simulation. "
            "All are added in quadrature."
        ),
    ),
    CHI_SQUARED,
    TRIANGULAR,
    (
        "Binned unfolding",
        (
            "D'Agostini's iteration of each observable alone, in the same bins and as many times, from the "
            "same simulation."
        ),
    ),
    (
        "Effective events",
        "(sum w)^2 / sum w^2 of the weights: as many events of equal weight have the same statistical error.",
    ),
)


def write_report(
    analysis: UnfoldAnalysis, workspace: Workspace, states: Mapping[str, State]
) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
    """Write ``report/`` and ``weights.parquet`` of what there is; nothing while no nominal run is done."""
    runs = {key: run for key, run in analysis.runs().items() if states[run.name] == "done"}
    nominal = [run for (kind, _), run in runs.items() if kind == NOMINAL]
    if not nominal:
        return None, {}, {}
    projections = {key: read_json(workspace.run(run.name).path / PROJECTIONS) for key, run in runs.items()}
    config = analysis.config
    spectra = [UnfoldedSpectrum.of(name, edges, projections) for name, edges in config.observables.items()]
    files = {
        ("training" if kind == NOMINAL else kind, number): workspace.run(run.name).path / FILE
        for (kind, number), run in runs.items()
        if kind in (NOMINAL, BOOTSTRAP)  # systematic variations weigh other events
    }
    weights = merged_weights(files)
    file = weights.write(workspace.path / FILE)
    facts = {key: workspace.run(run.name).facts() or {} for key, run in runs.items()}
    store = Store.open(store_path(workspace, nominal[0], "simulation"))
    units = {one.name: unit_of(store.schema, one.name) for one in spectra}
    parts = (
        _result_part(config, spectra, units),
        _detector_part(spectra, units),
        _diagnosis_part(config, spectra, facts, weights),
        _runs_part(workspace, analysis, states, facts),
        Part("method", "Definitions and method", (Definitions(METHOD),)),
    )
    title = config.description or "An unfolding"
    Page(title, _lead(config, runs), parts).write(workspace.path / "report")
    return workspace.path / "report" / REPORT, {"weights": file}, _numbers(spectra)


def _lead(config: UnfoldConfig, runs: Mapping[tuple[str, str], Run]) -> str:
    what = {
        None: "Data",
        "closure": "Closure test: one half of the simulation",
        "stress": "Stress test: one half of the simulation, changed,",
    }
    trained, drawn = (sum(kind == one for kind, _ in runs) for one in (NOMINAL, BOOTSTRAP))
    return (
        f"{what[config.test]} unfolded by OmniFold with the estimator {config.estimator.name}: "
        f"{config.omnifold.iterations} iterations, the mean of {several(trained, 'training')}, "
        f"{several(drawn, 'bootstrap replica')}."
    )


def _figure(spectrum: UnfoldedSpectrum, units: Mapping[str, str]) -> Figure:
    result = RatioCurve("unfolded", spectrum.unfolded, spectrum.total, "points")
    prior = RatioCurve("simulation", spectrum.prior, None, "filled")
    binned = RatioCurve("binned", spectrum.bayesian)
    truth = [] if spectrum.truth is None else [RatioCurve("truth", spectrum.truth)]
    curves = [*truth, prior, binned, result] if truth else [prior, binned, result]
    against = "truth" if truth else "the simulation"
    return ratio_figure(
        curves,
        spectrum.edges,
        name=f"unfolded-{spectrum.name}",
        xlabel=axis(spectrum.name, units[spectrum.name]),
        ylabel="weighted events / bin width",
        caption=(
            f"Particle level; ratio to {against}. Bars: all uncertainties. First and last bin hold what is "
            "beyond."
        ),
    )


def _result_part(config: UnfoldConfig, spectra: Sequence[UnfoldedSpectrum], units: Mapping[str, str]) -> Part:
    blocks: list[Block] = []
    if spectra[0].statistical is None:
        blocks.append(
            Text(
                f"Fewer than {FEWEST} bootstrap replicas are done: results have no statistical uncertainty "
                "yet.",
                warning=True,
            )
        )
    blocks += grid([_figure(one, units) for one in spectra])
    if spectra[0].truth is not None:
        blocks.append(
            ReportTable(
                TRUTH,
                tuple(spectra),
                caption=(
                    "Distance from the truth: 1000 times the triangular discriminator Δ, and χ² per degree "
                    "of freedom with its p-value."
                ),
                name="closure",
            )
        )
    blocks.append(
        ReportTable(
            ERRORS,
            tuple(spectra),
            caption="Relative uncertainties: the median over the bins of an observable.",
            name="uncertainties",
        )
    )
    return Part("result", "Result at particle level", tuple(blocks))


def _detector_part(spectra: Sequence[UnfoldedSpectrum], units: Mapping[str, str]) -> Part:
    figures = [
        ratio_figure(
            [
                RatioCurve("data", one.data, np.sqrt(np.abs(one.data)), "points"),
                RatioCurve("simulation", one.expected, None, "filled"),
                RatioCurve("simulation, weighted", one.folded),
            ],
            one.edges,
            name=f"folded-{one.name}",
            xlabel=axis(one.name, units[one.name]),
            ylabel="weighted events / bin width",
            caption=(
                "Detector level; ratio to data, whose bars are √n. After unfolding the weighted simulation "
                "follows the data."
            ),
        )
        for one in spectra
    ]
    return Part("detector", "Detector level", tuple(grid(figures)))


def _diagnosis_part(
    config: UnfoldConfig,
    spectra: Sequence[UnfoldedSpectrum],
    facts: Mapping[tuple[str, str], Mapping[str, Any]],
    weights: LearnedWeights,
) -> Part:
    rows = [
        WeightsRow(number, place + 1, one, facts[kind, number]["events"])
        for kind, number in facts
        if kind == NOMINAL
        for place, one in enumerate(facts[kind, number]["iterations"])
    ]
    warnings = [
        Text(
            f"Training {row.run}: the hundredth of events with the largest weights has "
            f"{per_cent(row.weights['top_share'])} of "
            "their sum; the result hangs on few events. More simulation where the data are would help.",
            warning=True,
        )
        for row in rows
        if row.number == config.omnifold.iterations and row.weights["top_share"] > MOST_TOP_SHARE
    ]
    changes = [Change(one, number) for one in spectra for number in range(1, len(one.by_iteration) + 1)]
    blocks: list[Block] = [
        *warnings,
        ReportTable(
            DIAGNOSIS,
            tuple(rows),
            caption=(
                "Weights of the simulated events after each iteration, and the validation losses of its "
                "steps. A loss of ln 2 means that nothing is left to learn."
            ),
            name="weights-by-iteration",
            group=lambda row: row.run,
        ),
        *grid([weights_of(weights)]),
        ReportTable(
            CHANGES,
            tuple(changes),
            caption=(
                "Convergence: root mean square over bins of the change in an iteration, in units of the "
                "statistical uncertainty. Below 1 further iterations change less than the data can tell."
            ),
            name="convergence",
            group=lambda row: row.observable,
        ),
    ]
    return Part("diagnosis", "Are the weights sane?", tuple(blocks))


def _runs_part(
    workspace: Workspace,
    analysis: UnfoldAnalysis,
    states: Mapping[str, State],
    facts: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Part:
    named = {f"{kind} {number}": run for (kind, number), run in analysis.runs().items()}
    lines = unfinished(named, workspace, states)
    for (kind, number), one in facts.items():
        if one["diverged"]:
            lines.append(f"{kind} {number}: {len(one['iterations'])} iterations were kept; {one['diverged']}")
    events = next(iter(facts.values()))
    lead = (
        f"{events['data']:,} rows of data at detector level; {events['events']:,} simulated events, of which "
        f"{events['generated']:,} exist at particle level and {events['detected']:,} at detector level."
    )
    blocks: list[Block] = [Text(lead)]
    if lines:
        blocks.append(Bullets(tuple(lines)))
    return Part("runs", "Events and runs", tuple(blocks))


def _numbers(spectra: Sequence[UnfoldedSpectrum]) -> dict[str, Any]:
    """Return the numbers of the main table."""
    return {
        one.name: {
            "distance": one.distance(one.unfolded),
            "prior_distance": one.distance(one.prior),
            "binned_distance": one.distance(one.bayesian),
            "chi2": chi_value(one.chi_squared, "value"),
            "degrees": chi_value(one.chi_squared, "degrees"),
            "p": chi_value(one.chi_squared, "p"),
        }
        for one in spectra
    }
