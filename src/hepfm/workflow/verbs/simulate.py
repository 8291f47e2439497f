"""Simulation: the only verb that spreads over all cores."""

from __future__ import annotations

from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Needs, Verb


class Simulate(Verb):
    """Simulate the store of a recipe."""

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return all cores: chunks are independent."""
        return Needs(cores)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Simulate; complete chunks of a stopped attempt are kept."""
        from hepfm.simulate.run import simulate

        result = simulate(run.values["recipe"], output=workspace.run(run.name).store, processes=cores)
        return {"rows": result.rows}
