"""Pre-training of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.core.errors import ConfigError
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import recipe_of
from hepfm.workflow.verbs.training import TrainingVerb, train

if TYPE_CHECKING:
    from hepfm.objectives.requirements import Requirements
    from hepfm.train.dry_run import Cost
    from hepfm.train.recipe import PretrainRecipe


class Pretrain(TrainingVerb):
    """Train a model from a recipe."""

    verb = "pretrain"
    rows_key = "rows"

    def read(self, values: Values, where: str) -> PretrainRecipe:
        """Return a recipe, checked."""
        from hepfm.train.recipe import read_pretrain_recipe

        return read_pretrain_recipe(values, where=where)

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse components that do not fit, and a store without the rows that are asked for."""
        self.requirements(graph, run)
        recipe, store = self.recipe(run), graph.store(run)
        store.check_rows(recipe.data.train, recipe.data.rows, "data.rows")
        if recipe.data.validation:
            store.check_split(recipe.data.validation)
        for tokenizer in graph.parents(run, "tokenizer"):
            _check_features(recipe.data.features, tokenizer)

    def requirements(self, graph: RunGraph, run: Run) -> Requirements:
        """Return what the objective needs; raise `IncompatibleError` where backbone or data lack it."""
        from hepfm.objectives.compatibility import check_compatible

        recipe = self.recipe(run)
        return check_compatible(recipe.objective, recipe.backbone, graph.store(run).schema, recipe.grouping)

    def time(self, workspace: Workspace, run: Run, recipe: Values) -> Cost:
        """Return what a few steps cost."""
        from hepfm.train.pretrain import dry_run

        return dry_run(recipe)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Train, from the last checkpoint if there is one."""
        from hepfm.train.pretrain import pretrain

        recipe = recipe_of(workspace, run)
        return train(workspace.run(run.name), lambda output: pretrain(recipe, output=output))


def _check_features(features: str, tokenizer: Run) -> None:
    needed = tokenizer.values["recipe"]["data"]["features"]
    if features != needed:
        raise ConfigError(
            f"the tokenizer reads the features {needed!r} and this recipe {features!r}; set data.features "
            "alike"
        )
