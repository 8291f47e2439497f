"""Fine-tuning of a parent's model."""

from __future__ import annotations

from hepfm.core.config import merge
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.selection import choose, learning_rate
from hepfm.workflow.verbs.base import Needs, Verb, asks_for_gpu, parents_of, recipe_of
from hepfm.workflow.verbs.training import train


class Finetune(Verb):
    """Adapt a model to a task, with the learning rate of the best parent in the role ``choice``."""

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where the recipe asks for one."""
        return Needs(gpus=asks_for_gpu(run))

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Train, from the last checkpoint if there is one."""
        from hepfm.train.finetune import finetune

        folder, recipe = workspace.run(run.name), recipe_of(workspace, run)
        if "choice" in run.parents:
            rate = learning_rate(choose(parents_of(workspace, run, "choice")))
            recipe = set_rate(recipe, rate)
        (parent,) = parents_of(workspace, run, "model")
        facts = train(folder, lambda output: finetune(parent.model, recipe, output=output))
        return {**facts, "rate": learning_rate(folder)}


def set_rate(values: Values, rate: float) -> Values:
    """Return a recipe with another learning rate.

    >>> set_rate({"train": {"optimizer": {"name": "lion", "lr": 1.0}}}, 0.5)
    {'train': {'optimizer': {'name': 'lion', 'lr': 0.5}}}
    """
    return merge(values, {"train": {"optimizer": {"lr": rate}}})
