"""Generation of rows with the best of the parents' models."""

from __future__ import annotations

from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.selection import choose
from hepfm.workflow.verbs.base import Verb, parents_of, store_path


class Generate(Verb):
    """Generate a store, conditioned on the rows of a store where the run names one."""

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Generate anew; a store that a stopped attempt left is removed."""
        from hepfm.inference.generate import generate

        chosen, folder = choose(parents_of(workspace, run, "model")), workspace.run(run.name)
        options = {key: value for key, value in run.values.items() if key != "store"}
        folder.clear(folder.store)
        conditioned = "store" in run.parents or "store" in run.paths
        like = store_path(workspace, run) if conditioned else None
        generate(chosen.model, output=folder.store, like=like, **options)
        return {"model": chosen.path.name}
