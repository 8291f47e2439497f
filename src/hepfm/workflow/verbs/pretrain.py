"""Pre-training of a model."""

from __future__ import annotations

from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Needs, Verb, asks_for_gpu, recipe_of
from hepfm.workflow.verbs.training import train


class Pretrain(Verb):
    """Train a model from a recipe."""

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where the recipe asks for one."""
        return Needs(gpus=asks_for_gpu(run))

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Train, from the last checkpoint if there is one."""
        from hepfm.train.pretrain import pretrain

        recipe = recipe_of(workspace, run)
        return train(workspace.run(run.name), lambda output: pretrain(recipe, output=output))
