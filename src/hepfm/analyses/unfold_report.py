"""The page of an unfolding, and its file of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.analyses.merged_weights import FILE, merged_weights
from hepfm.analyses.unfold import BOOTSTRAP, NOMINAL
from hepfm.analyses.unfold_outcome import FEWEST, UnfoldedSpectrum
from hepfm.core.files import read_json
from hepfm.data.store import Store
from hepfm.methods.observables import unit_of
from hepfm.metrics.binned import ChiSquared
from hepfm.report.blocks import Block, Bullets, Definitions, Part, Text, grid
from hepfm.report.figures.ratio_panel import RatioCurve, ratio_figure
from hepfm.report.figures.style import Figure
from hepfm.report.formats import p_value, significant
from hepfm.report.page import REPORT, Page
from hepfm.report.table import Column, ReportTable, text
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.base import store_path
from hepfm.workflow.verbs.unfold import PROJECTIONS, WEIGHTS

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
    (
        "chi-squared",
        (
            "Of result and truth, with the covariance of their difference over bootstrap replicas (data and "
            "truth are the same events), corrected for the finite number of replicas (astro-ph/0608064), and "
            "the variance of the mean over trainings. With no more replicas than bins correlations are not "
            "known, and only variances are used."
        ),
    ),
    (
        "Triangular discriminator",
        "Half the sum over bins of (p - q)^2/(p + q) of normalised histograms, times 1000: 0 for equal ones.",
    ),
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
        ("training" if kind == NOMINAL else kind, number): workspace.run(run.name).path / WEIGHTS
        for (kind, number), run in runs.items()
        if kind in (NOMINAL, BOOTSTRAP)  # systematic variations weigh other events
    }
    weights = merged_weights(files).write(workspace.path / FILE)
    facts = {key: workspace.run(run.name).facts() or {} for key, run in runs.items()}
    store = Store.open(store_path(workspace, nominal[0], "simulation"))
    units = {one.name: unit_of(store.schema, one.name) for one in spectra}
    parts = (
        _result_part(config, spectra, units),
        _detector_part(spectra, units),
        _diagnosis_part(config, spectra, facts),
        _runs_part(workspace, analysis, states, facts),
        Part("method", "Definitions and method", (Definitions(METHOD),)),
    )
    title = config.description or "An unfolding"
    Page(title, _lead(config, runs), parts).write(workspace.path / "report")
    return workspace.path / "report" / REPORT, {"weights": weights}, _numbers(spectra)


def _lead(config: UnfoldConfig, runs: Mapping[tuple[str, str], Run]) -> str:
    what = {
        None: "Data",
        "closure": "Closure test: one half of the simulation",
        "stress": "Stress test: one half of the simulation, changed,",
    }
    trained, drawn = (sum(kind == one for kind, _ in runs) for one in (NOMINAL, BOOTSTRAP))
    return (
        f"{what[config.test]} unfolded by OmniFold with the estimator {config.estimator.name}: "
        f"{config.omnifold.iterations} iterations, the mean of {trained} trainings, {drawn} bootstrap "
        "replicas."
    )


def _axis(name: str, units: Mapping[str, str]) -> str:
    return name if units[name] == "1" else f"{name} [{units[name]}]"


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
        xlabel=_axis(spectrum.name, units),
        ylabel="weighted events / bin width",
        caption=(
            f"Particle level; ratio to {against}. Bars: all uncertainties. First and last bin hold what is "
            "beyond."
        ),
    )


def _p_text(p: float) -> str:
    shown = p_value(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def _chi_text(chi: ChiSquared | None) -> str:
    return "-" if chi is None or not chi.degrees else f"{chi.value:.1f} / {chi.degrees}, {_p_text(chi.p)}"


def _thousand(value: float | None) -> str:
    return "-" if value is None else significant(1000 * value)


def _value(chi: ChiSquared | None, key: str) -> float | None:
    return None if chi is None or not math.isfinite(chi.value) else float(getattr(chi, key))


TRUTH: tuple[Column[UnfoldedSpectrum], ...] = (
    text("observable", "observable", lambda one: one.name),
    Column(
        "simulation, 1000 Δ",
        "prior_distance",
        lambda one: one.distance(one.prior),
        lambda one: _thousand(one.distance(one.prior)),
    ),
    Column(
        "binned, 1000 Δ",
        "binned_distance",
        lambda one: one.distance(one.bayesian),
        lambda one: _thousand(one.distance(one.bayesian)),
    ),
    Column(
        "unfolded, 1000 Δ",
        "unfolded_distance",
        lambda one: one.distance(one.unfolded),
        lambda one: _thousand(one.distance(one.unfolded)),
    ),
    Column(
        "binned, χ²",
        "binned_chi2",
        lambda one: _value(one.bayesian_chi_squared, "value"),
        lambda one: _chi_text(one.bayesian_chi_squared),
    ),
    Column(
        "unfolded, χ²",
        "unfolded_chi2",
        lambda one: _value(one.chi_squared, "value"),
        lambda one: _chi_text(one.chi_squared),
    ),
    Column("", "binned_p", lambda one: _value(one.bayesian_chi_squared, "p")),
    Column("", "unfolded_p", lambda one: _value(one.chi_squared, "p")),
    Column("", "degrees", lambda one: _value(one.chi_squared, "degrees")),
)


def _share(part: Any, whole: Any) -> float | None:
    """Return the median over bins of an uncertainty relative to the result."""
    if part is None:
        return None
    kept = whole > 0
    return float(np.median(part[kept] / whole[kept])) if kept.any() else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _error(source: str) -> Column[UnfoldedSpectrum]:
    """Return the column of a source of uncertainty."""

    def value(one: UnfoldedSpectrum) -> float | None:
        return _share(getattr(one, source), one.unfolded)

    return Column(source, source, value, lambda one: _percent(value(one)))


ERRORS: tuple[Column[UnfoldedSpectrum], ...] = (
    text("observable", "observable", lambda one: one.name),
    *map(_error, ("statistical", "training", "systematic", "total")),
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
            xlabel=_axis(one.name, units),
            ylabel="weighted events / bin width",
            caption=(
                "Detector level; ratio to data, whose bars are √n. After unfolding the weighted simulation "
                "follows the data."
            ),
        )
        for one in spectra
    ]
    return Part("detector", "Detector level", tuple(grid(figures)))


class _Row:
    """An iteration of one run, for the table of weights."""

    def __init__(self, run: str, number: int, facts: Mapping[str, Any], events: int) -> None:
        self.run, self.number, self.weights, self.events = run, number, facts["weights"], events
        self.cut = sum(facts[level]["cut"] for level in ("detector", "particle"))
        self.losses = [
            float(np.mean([one["validation_loss"] for one in facts[level]["trainings"]]))
            for level in ("detector", "particle")
        ]


DIAGNOSIS: tuple[Column[_Row], ...] = (
    text("training", "training", lambda row: row.run),
    Column("iteration", "iteration", lambda row: row.number),
    Column(
        "effective events",
        "effective_rows",
        lambda row: row.weights["effective_rows"],
        lambda row: f"{row.weights['effective_rows']:,.0f} of {row.events:,}",
    ),
    Column(
        "largest / median weight",
        "largest_over_median",
        lambda row: row.weights["largest"] / row.weights["median"] if row.weights["median"] else None,
        lambda row: (
            significant(row.weights["largest"] / row.weights["median"]) if row.weights["median"] else "-"
        ),
    ),
    Column(
        "top 1 % of events",
        "top_share",
        lambda row: row.weights["top_share"],
        lambda row: _percent(row.weights["top_share"]),
    ),
    Column("ratios cut", "cut", lambda row: row.cut),
    Column("NaN", "not_finite", lambda row: row.weights["not_finite"]),
    Column(
        "loss - ln 2, detector",
        "loss_detector",
        lambda row: row.losses[0] - math.log(2),
        lambda row: f"{row.losses[0] - math.log(2):+.5f}",
    ),
    Column(
        "loss - ln 2, particle",
        "loss_particle",
        lambda row: row.losses[1] - math.log(2),
        lambda row: f"{row.losses[1] - math.log(2):+.5f}",
    ),
)


class _Change:
    """How much an observable moved in an iteration."""

    def __init__(self, spectrum: UnfoldedSpectrum, number: int) -> None:
        self.observable, self.number = spectrum.name, number
        before = spectrum.prior if number == 1 else spectrum.by_iteration[number - 2]
        after = spectrum.by_iteration[number - 1]
        self.distance = spectrum.distance(after)
        error = spectrum.statistical
        kept = np.zeros(0, bool) if error is None else error > 0
        self.change = (
            float(np.sqrt(np.mean(((after - before)[kept] / error[kept]) ** 2)))
            if error is not None and kept.any()
            else None
        )


CHANGES: tuple[Column[_Change], ...] = (
    text("observable", "observable", lambda row: row.observable),
    Column("iteration", "iteration", lambda row: row.number),
    Column(
        "change / statistical error",
        "change",
        lambda row: row.change,
        lambda row: "-" if row.change is None else significant(row.change, 2),
    ),
    Column("1000 Δ to truth", "distance", lambda row: row.distance, lambda row: _thousand(row.distance)),
)


def _diagnosis_part(
    config: UnfoldConfig,
    spectra: Sequence[UnfoldedSpectrum],
    facts: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Part:
    rows = [
        _Row(number, place + 1, one, facts[kind, number]["events"])
        for kind, number in facts
        if kind == NOMINAL
        for place, one in enumerate(facts[kind, number]["iterations"])
    ]
    warnings = [
        Text(
            f"Training {row.run}: the hundredth of events with the largest weights has "
            f"{_percent(row.weights['top_share'])} of "
            "their sum; the result hangs on few events. More simulation where the data are would help.",
            warning=True,
        )
        for row in rows
        if row.number == config.omnifold.iterations and row.weights["top_share"] > MOST_TOP_SHARE
    ]
    changes = [_Change(one, number) for one in spectra for number in range(1, len(one.by_iteration) + 1)]
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
    lines = []
    for (kind, number), run in analysis.runs().items():
        failure = workspace.run(run.name).failure()
        if states[run.name] != "done":
            lines.append(f"{kind} {number}: {states[run.name]}{': ' + failure['message'] if failure else ''}")
        elif facts[kind, number]["diverged"]:
            kept = len(facts[kind, number]["iterations"])
            lines.append(f"{kind} {number}: {kept} iterations were kept; {facts[kind, number]['diverged']}")
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
            "chi2": _value(one.chi_squared, "value"),
            "degrees": _value(one.chi_squared, "degrees"),
            "p": _value(one.chi_squared, "p"),
        }
        for one in spectra
    }
