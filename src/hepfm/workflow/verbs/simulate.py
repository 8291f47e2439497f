"""Simulation: the only verb that spreads over all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.core.config import merge
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Needs, Verb

if TYPE_CHECKING:
    from hepfm.workflow.estimate import Bench, Timing


class Simulate(Verb):
    """Simulate the store of a recipe."""

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return all cores: chunks are independent."""
        return Needs(cores)

    def check(self, graph: RunGraph, run: Run) -> None:
        """Find nothing: a simulation recipe is checked when its store is described."""

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows."""
        return float(sum(graph.store(run).splits.values()))

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the simulation of a few rows."""
        recipe = run.values["recipe"]
        few = {split: min(number, rows) for split, number in recipe[recipe["kind"]].items()}
        return Run(run.verb, {"recipe": merge(recipe, {recipe["kind"]: few})}, note=run.note)

    def measure(self, bench: Bench, run: Run) -> Timing:
        """Time the simulation of a few rows."""
        from hepfm.workflow.estimate import Timing

        facts = bench.scratch.run(bench.ready(run.name)).facts() or {}
        return Timing(float(facts["seconds"]) / int(facts["rows"]), memory=int(facts["peak_memory_bytes"]))

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Simulate; complete chunks of a stopped attempt are kept."""
        from hepfm.simulate.run import simulate

        result = simulate(run.values["recipe"], output=workspace.run(run.name).store, processes=cores)
        return {"rows": sum(result.rows.values())}
