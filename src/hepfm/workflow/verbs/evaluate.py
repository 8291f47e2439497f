"""Measurement of the best of the parents' models, or of generated rows."""

from __future__ import annotations

from hepfm.data.weights import AUTO
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.selection import choose
from hepfm.workflow.verbs.base import Verb, parents_of, store_path


class Evaluate(Verb):
    """Measure on a task's test rows."""

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Measure; the facts name the run whose model was measured."""
        from hepfm.tasks.evaluate import evaluate

        if "generated" in run.parents:
            (generated,) = parents_of(workspace, run, "generated")
            subject, model = generated.store, (generated.facts() or {})["model"]
        else:
            chosen = choose(parents_of(workspace, run, "model"))
            subject, model = chosen.model, chosen.path.name
        weights = run.values.get("weights", AUTO)
        output, store = workspace.run(run.name).result, store_path(workspace, run)
        evaluate(subject, run.values["task"], store, weights=weights, output=output)
        return {"model": model}
