"""The page of a reweighting, and its file of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hepfm.analyses.analysis import unfinished
from hepfm.analyses.cells import (
    CHI_SQUARED,
    TRIANGULAR,
    axis,
    chi_text,
    chi_value,
    per_cent,
    several,
    thousand,
)
from hepfm.analyses.merged_weights import merged_weights, weights_of
from hepfm.analyses.reweight import BOOTSTRAP, NOMINAL
from hepfm.core.files import read_json
from hepfm.data.learned_weights import FILE, LearnedWeights
from hepfm.data.store import Store
from hepfm.methods.observables import unit_of
from hepfm.metrics.binned import ChiSquared, replica_chi_squared, triangular_discriminator
from hepfm.report.blocks import Block, Bullets, Definitions, Part, Text, grid
from hepfm.report.figures.calibration import calibration_figure
from hepfm.report.figures.ratio_panel import RatioCurve, ratio_figure
from hepfm.report.formats import significant
from hepfm.report.page import REPORT, Page
from hepfm.report.table import Column, ReportTable, text
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.base import store_path
from hepfm.workflow.verbs.reweight import CLOSURE

if TYPE_CHECKING:
    from hepfm.analyses.reweight import ReweightAnalysis

Floats = npt.NDArray[np.float64]

METHOD = (
    (
        "Reweighting",
        (
            "A classifier between target and source gives the ratio of their densities, p/(1 - p); weights "
            "are the source's times this ratio. Rows are cut into folds: the ratio of a row is learned from "
            "rows of other folds, so that nothing on this page was seen in training."
        ),
    ),
    (
        "Uncertainties",
        (
            "Standard deviation over bootstrap replicas of both samples, event by event, Poisson(1), each "
            "trained anew."
        ),
    ),
    CHI_SQUARED,
    (
        "AUC of another classifier",
        (
            "Boosted trees on all observables, those that were held out too, trained in two folds to tell "
            "target and source apart, before and after. 0.5 is ideal."
        ),
    ),
    TRIANGULAR,
    ("Effective rows", "(sum w)^2 / sum w^2 of the weights."),
)


@dataclass(frozen=True)
class ComparedObservable:
    """One observable of target and source.

    Attributes
    ----------
    name, edges, held_out
        The observable, its bins, and whether estimators did not look at it.
    target, before, after
        Histograms; the last is the mean over trainings.
    differences
        After less target in each bootstrap replica, (n, K).
    """

    name: str
    edges: tuple[float, ...]
    held_out: bool
    target: Floats
    before: Floats
    after: Floats
    differences: Floats

    @property
    def errors(self) -> Floats | None:
        """Standard deviations of the difference; None with fewer than three replicas."""
        return self.differences.std(axis=0, ddof=1) if len(self.differences) > 2 else None

    @property
    def chi_squared(self) -> ChiSquared | None:
        """Of weighted source and target."""
        if len(self.differences) < 3:
            return None
        return replica_chi_squared(self.after - self.target, np.zeros_like(self.target), self.differences)


CLOSURE_TABLE: tuple[Column[ComparedObservable], ...] = (
    text("observable", "observable", lambda one: one.name),
    text("held out", "held_out", lambda one: "yes" if one.held_out else "no"),
    Column(
        "before, 1000 Δ",
        "before_distance",
        lambda one: triangular_discriminator(one.before, one.target),
        lambda one: thousand(triangular_discriminator(one.before, one.target)),
    ),
    Column(
        "after, 1000 Δ",
        "after_distance",
        lambda one: triangular_discriminator(one.after, one.target),
        lambda one: thousand(triangular_discriminator(one.after, one.target)),
    ),
    Column(
        "after, χ²",
        "chi2",
        lambda one: chi_value(one.chi_squared, "value"),
        lambda one: chi_text(one.chi_squared),
    ),
    Column("", "degrees", lambda one: chi_value(one.chi_squared, "degrees")),
    Column("", "p", lambda one: chi_value(one.chi_squared, "p")),
)


@dataclass(frozen=True)
class TrainedWeights:
    """One training, for the table of weights."""

    number: str
    facts: Mapping[str, Any]
    auc: Mapping[str, float]

    @property
    def weights(self) -> Mapping[str, Any]:
        """Summary of its weights."""
        found: Mapping[str, Any] = self.facts["weights"]
        return found


TRAININGS: tuple[Column[TrainedWeights], ...] = (
    text("training", "training", lambda row: row.number),
    Column("AUC before", "auc_before", lambda row: row.auc["before"], lambda row: f"{row.auc['before']:.4f}"),
    Column("AUC after", "auc_after", lambda row: row.auc["after"], lambda row: f"{row.auc['after']:.4f}"),
    Column(
        "effective rows",
        "effective_rows",
        lambda row: row.weights["effective_rows"],
        lambda row: f"{row.weights['effective_rows']:,.0f} of {row.weights['rows']:,}",
    ),
    Column(
        "largest weight / mean",
        "largest_over_mean",
        lambda row: row.weights["largest"] * row.weights["rows"] / row.weights["total"],
        lambda row: significant(row.weights["largest"] * row.weights["rows"] / row.weights["total"]),
    ),
    Column(
        "top 1 % of rows",
        "top_share",
        lambda row: row.weights["top_share"],
        lambda row: per_cent(row.weights["top_share"]),
    ),
    Column("ratios cut", "cut", lambda row: row.facts["cut"]),
)


def write_report(
    analysis: ReweightAnalysis, workspace: Workspace, states: Mapping[str, State]
) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
    """Write ``report/`` and ``weights.parquet`` of what there is; nothing while no training is done."""
    runs = {key: run for key, run in analysis.runs().items() if states[run.name] == "done"}
    trained = {number: run for (kind, number), run in runs.items() if kind == NOMINAL}
    if not trained:
        return None, {}, {}
    found = {key: read_json(workspace.run(run.name).path / CLOSURE) for key, run in runs.items()}
    compared = [
        _compared(analysis, name, edges, found) for name, edges in analysis.config.observables.items()
    ]
    rows = [
        TrainedWeights(number, workspace.run(run.name).facts() or {}, found[NOMINAL, number]["auc"])
        for number, run in trained.items()
    ]
    files = {
        ("training" if kind == NOMINAL else kind, number): workspace.run(run.name).path / FILE
        for (kind, number), run in runs.items()
    }
    weights = merged_weights(files)
    file = weights.write(workspace.path / FILE)
    schema = Store.open(store_path(workspace, next(iter(trained.values())), "target")).schema
    units = {one.name: unit_of(schema, one.name) for one in compared}
    parts = (
        _closure_part(compared, units),
        _weights_part(rows, found[NOMINAL, next(iter(trained))]["calibration"], weights),
        _runs_part(analysis, workspace, states, rows),
        Part("method", "Definitions and method", (Definitions(METHOD),)),
    )
    Page(analysis.config.description or "A reweighting", _lead(analysis, runs), parts).write(
        workspace.path / "report"
    )
    numbers = {
        "observables": {
            one.name: {
                "p": chi_value(one.chi_squared, "p"),
                "distance": triangular_discriminator(one.after, one.target),
            }
            for one in compared
        },
        "auc": {key: float(np.mean([row.auc[key] for row in rows])) for key in ("before", "after")},
        "effective_rows": float(np.mean([row.weights["effective_rows"] for row in rows])),
    }
    return workspace.path / "report" / REPORT, {"weights": file}, numbers


def _compared(
    analysis: ReweightAnalysis,
    name: str,
    edges: tuple[float, ...],
    found: Mapping[tuple[str, str], Mapping[str, Any]],
) -> ComparedObservable:
    trained = [one for (kind, _), one in found.items() if kind == NOMINAL]
    drawn = [one for (kind, _), one in found.items() if kind == BOOTSTRAP]
    differences = [np.subtract(one["after"][name], one["target"][name]) for one in drawn]
    return ComparedObservable(
        name,
        edges,
        name in analysis.config.held_out,
        np.asarray(trained[0]["target"][name]),
        np.asarray(trained[0]["before"][name]),
        np.mean([one["after"][name] for one in trained], axis=0),
        np.asarray(differences) if differences else np.zeros((0, len(edges) - 1)),
    )


def _lead(analysis: ReweightAnalysis, runs: Mapping[tuple[str, str], Run]) -> str:
    config = analysis.config
    counts = [sum(kind == one for kind, _ in runs) for one in (NOMINAL, BOOTSTRAP)]
    return (
        f"{config.source.store} weighted to {config.target.store} with the estimator "
        f"{config.estimator.name}: the mean of {several(counts[0], 'training')}, "
        f"{several(counts[1], 'bootstrap replica')}, "
        f"{config.reweight.folds} folds."
    )


def _closure_part(compared: Sequence[ComparedObservable], units: Mapping[str, str]) -> Part:
    figures = []
    for one in compared:
        scale = one.target.sum() / one.before.sum() if one.before.sum() else 1.0
        held = " It was held out." if one.held_out else ""
        figures.append(
            ratio_figure(
                [
                    RatioCurve("target", one.target),
                    RatioCurve("before, scaled", one.before * scale, None, "filled"),
                    RatioCurve("after", one.after, one.errors, "points"),
                ],
                one.edges,
                name=f"closure-{one.name}",
                xlabel=axis(one.name, units[one.name]),
                ylabel="weighted rows / bin width",
                caption=f"Ratio to the target; bars: bootstrap of both samples.{held}",
            )
        )
    table = ReportTable(
        CLOSURE_TABLE,
        tuple(compared),
        caption=(
            "Closure: 1000 times the triangular discriminator Δ between source and target, and χ² after with "
            "its p-value."
        ),
        name="closure",
    )
    return Part("closure", "Closure", (*grid(figures), table))


def _weights_part(
    rows: Sequence[TrainedWeights], calibration: Sequence[Mapping[str, float]], weights: LearnedWeights
) -> Part:
    table = ReportTable(
        TRAININGS,
        tuple(rows),
        caption=(
            "Weights of each training, and the AUC of another classifier on all observables that tells "
            "target and source apart."
        ),
        name="weights",
    )
    return Part(
        "weights",
        "Are the weights sane?",
        (table, *grid([weights_of(weights), calibration_figure(calibration, name="calibration")])),
    )


def _runs_part(
    analysis: ReweightAnalysis,
    workspace: Workspace,
    states: Mapping[str, State],
    rows: Sequence[TrainedWeights],
) -> Part:
    count = rows[0].facts["rows"]
    blocks: list[Block] = [
        Text(f"{count['source']:,} rows of the source, {count['target']:,} of the target.")
    ]
    named = {f"{kind} {number}": run for (kind, number), run in analysis.runs().items()}
    lines = unfinished(named, workspace, states)
    return Part("runs", "Rows and runs", (*blocks, *([Bullets(tuple(lines))] if lines else [])))
