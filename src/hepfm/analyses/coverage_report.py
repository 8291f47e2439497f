"""The page of a test of coverage: many toys unfolded, each with all its replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.analyses.analysis import unfinished
from hepfm.analyses.cells import axis, per_cent, several
from hepfm.analyses.coverage_outcome import FALSE, LEAST, LEVELS, Coverage, coverage
from hepfm.analyses.unfold_outcome import UnfoldedSpectrum
from hepfm.core.errors import DataError
from hepfm.core.files import read_json
from hepfm.data.store import Store
from hepfm.methods.observables import unit_of
from hepfm.metrics.intervals import clopper_pearson
from hepfm.report.blocks import Block, Bullets, Definitions, Part, Text, grid
from hepfm.report.figures.coverage import CoverageCurve, coverage_figure
from hepfm.report.figures.style import Figure
from hepfm.report.formats import significant
from hepfm.report.page import REPORT, Page
from hepfm.report.table import Column, ReportTable, text
from hepfm.workflow.folder import Workspace
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.base import store_path
from hepfm.workflow.verbs.unfold import PROJECTIONS

if TYPE_CHECKING:
    from hepfm.analyses.unfold import UnfoldAnalysis

Spectra = Mapping[str, UnfoldedSpectrum]

METHOD = (
    (
        "Toys",
        (
            "Each event of data and simulation is in exactly one toy: toys share no event, and their numbers "
            "of events fluctuate as counts do. Each is unfolded as the analysis would be, with all its "
            "trainings and bootstrap replicas. The truth is the particle level of all data over the number "
            "of toys."
        ),
    ),
    (
        "Pull",
        (
            "(unfolded - truth) / uncertainty. The mean over toys tells bias, the standard deviation whether "
            "uncertainties have the right size: with n replicas it is that of Student's t with n - 1 degrees "
            "of freedom."
        ),
    ),
    (
        "Coverage",
        (
            "The share of intervals, of toys and bins, that have the truth in them. Intervals are "
            "uncertainties times the quantile of Student's t. Bins of a toy go together: the error is "
            "that of the mean over toys. Bias lowers the coverage, also where uncertainties are right."
        ),
    ),
    (
        "Binned",
        "D'Agostini's iteration of each observable alone, as many times, with the same replicas.",
    ),
)


def write_report(
    analysis: UnfoldAnalysis, workspace: Workspace, states: Mapping[str, State]
) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
    """Write ``report/`` of the toys that are complete; nothing while there are fewer than two."""
    toys = _complete(analysis, workspace, states)
    if len(toys) < 2:
        return None, {}, {}
    found = {name: coverage(toys, name) for name in analysis.config.observables}
    units = _units(analysis, workspace)
    rows = [one for ones in found.values() for one in ones]
    figures = [_figure(ones, units[name], len(toys)) for name, ones in found.items() if ones]
    table = ReportTable(
        COLUMNS,
        tuple(rows),
        caption=(
            f"{len(toys)} toys. Of the coverage the standard error; bins with fewer than {LEAST:g} expected "
            f"events in a toy are left out. Bias and widths are in units of the uncertainty."
        ),
        name="coverage",
        group=lambda row: row.observable,
    )
    parts = (
        Part("coverage", "Coverage", (table, *grid(figures))),
        _runs_part(analysis, workspace, states),
        Part("method", "Definitions and method", (Definitions(METHOD),)),
    )
    config = analysis.config
    lead = (
        f"Test of coverage: {len(toys)} toys unfolded by OmniFold with the estimator "
        f"{config.estimator.name}, {config.omnifold.iterations} iterations, "
        f"{several(config.replicas.trainings, 'training')} and {config.replicas.bootstrap} bootstrap "
        "replicas of each."
    )
    Page(config.description or "Coverage of an unfolding", lead, parts).write(workspace.path / "report")
    return workspace.path / "report" / REPORT, {}, _numbers(rows)


def _complete(
    analysis: UnfoldAnalysis, workspace: Workspace, states: Mapping[str, State]
) -> dict[int, Spectra]:
    """Return the spectra of each toy all of whose runs are done."""
    found: dict[int, Spectra] = {}
    for toy, runs in analysis.toys().items():
        if all(states[run.name] == "done" for run in runs.values()):
            projections = {
                key: read_json(workspace.run(run.name).path / PROJECTIONS) for key, run in runs.items()
            }
            if any(one["truth"] is None for one in projections.values()):
                raise DataError("data have no particle level: without a truth there is no test of coverage")
            found[toy] = {
                name: UnfoldedSpectrum.of(name, edges, projections)
                for name, edges in analysis.config.observables.items()
            }
    return found


def _units(analysis: UnfoldAnalysis, workspace: Workspace) -> dict[str, str]:
    store = Store.open(store_path(workspace, next(iter(analysis.runs().values())), "simulation"))
    return {name: unit_of(store.schema, name) for name in analysis.config.observables}


def _figure(found: Sequence[Coverage], unit: str, toys: int) -> Figure:
    level = LEVELS[0]
    curves = []
    for one in found:
        edges = np.asarray(one.edges)
        curves.append(
            CoverageCurve(
                one.method,
                edges[:-1][one.used],
                edges[1:][one.used],
                one.pulls.mean(axis=0),
                one.pulls.std(axis=0, ddof=1),
                *one.by_bin(level),
            )
        )
    name = found[0].observable
    return coverage_figure(
        curves,
        level=level,
        name=f"coverage-{name}",
        xlabel=axis(name, unit),
        caption=(
            f"{toys} toys. Above: mean pulls, bars are their standard deviation. Below: share of toys whose "
            "interval has the truth, with its 68 % interval."
        ),
    )


def _share(level: float) -> list[Column[Coverage]]:
    def shown(one: Coverage) -> str:
        value, error = one.share(level)
        return f"{100 * value:.1f} ± {100 * error:.1f} %"

    title, key = f"coverage, {100 * level:.0f} %", f"coverage_{100 * level:.0f}"
    return [
        Column(title, key, lambda one: one.share(level)[0], shown),
        Column("", f"{key}_error", lambda one: one.share(level)[1]),
    ]


def _rejected(one: Coverage) -> str:
    low, high = clopper_pearson(one.rejected, len(one.p), level=0.95)
    return f"{one.rejected} of {len(one.p)} ({per_cent(low)} to {per_cent(high)})"


COLUMNS: tuple[Column[Coverage], ...] = (
    text("observable", "observable", lambda one: one.observable),
    text("method", "method", lambda one: one.method),
    Column("", "bins", lambda one: int(one.used.sum())),
    *(column for level in LEVELS for column in _share(level)),
    Column("bias", "bias", lambda one: one.offset, lambda one: f"{one.offset:.2f}"),
    Column(
        "pull width (expected)",
        "width",
        lambda one: one.width,
        lambda one: f"{one.width:.2f} ({significant(one.expected_width)})",
    ),
    Column("", "median_relative_bias", lambda one: float(np.median(np.abs(one.bias)))),
    Column(f"toys with joint p < {FALSE}", "rejected", lambda one: one.rejected, _rejected),
    Column("", "toys", lambda one: len(one.p)),
)


def _runs_part(analysis: UnfoldAnalysis, workspace: Workspace, states: Mapping[str, State]) -> Part:
    runs = {f"{kind}, {name}": run for (kind, name), run in analysis.runs().items()}
    lines = unfinished(runs, workspace, states)
    done = len(runs) - len(lines)
    blocks: list[Block] = [Text(f"{done:,} of {len(runs):,} unfoldings are done.")]
    if lines:
        blocks.append(Bullets(tuple(lines[:20])))
    return Part("runs", "Runs", tuple(blocks))


def _numbers(rows: Sequence[Coverage]) -> dict[str, Any]:
    """Return the numbers of the main table."""
    numbers: dict[str, Any] = {}
    for one in rows:
        numbers.setdefault(one.observable, {})[one.method] = {
            "coverage_68": one.share(LEVELS[0])[0],
            "coverage_68_error": one.share(LEVELS[0])[1],
            "coverage_95": one.share(LEVELS[1])[0],
            "coverage_95_error": one.share(LEVELS[1])[1],
            "bias": one.offset,
            "width": one.width,
            "rejected": one.rejected,
            "toys": len(one.p),
        }
    return numbers
