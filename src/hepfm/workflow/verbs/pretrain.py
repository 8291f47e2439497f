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
    from hepfm.networks.specs import TokenizerSpec
    from hepfm.objectives.requirements import Requirements
    from hepfm.train.dry_run import Cost
    from hepfm.train.recipe import PretrainRecipe


class Pretrain(TrainingVerb):
    """Train a model from a recipe."""

    verb = "pretrain"
    rows_key = "rows"
    optional = ("early_stopping",)

    def read(self, values: Values, where: str) -> PretrainRecipe:
        """Return a recipe, checked."""
        from hepfm.train.recipe import read_pretrain_recipe
        from hepfm.train.replicas import check_shard

        recipe = read_pretrain_recipe(values, where=where)
        check_shard(recipe.train.shard)
        return recipe

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse components that do not fit, and a store without the rows that are asked for.

        The network is built without memory or weights, so that the objective looks at all that it looks at
        when the run starts, the tokenizer included.
        """
        import torch

        from hepfm.train.pretraining import new_network

        self.requirements(graph, run)
        recipe, store = self.recipe(run), graph.store(run)
        store.check_rows(recipe.data.train, recipe.data.rows, "data.rows")
        if recipe.data.validation:
            store.check_split(recipe.data.validation)
        for tokenizer in graph.parents(run, "tokenizer"):
            _check_features(recipe.data.features, tokenizer)
        with torch.device("meta"):
            network = new_network(recipe, self._tokenizer(graph, run))
        recipe.objective.cls.check(recipe.objective.config, network)

    def _tokenizer(self, graph: RunGraph, run: Run) -> TokenizerSpec | None:
        """Return the tokenizer of a run, which another run trains or a model directory holds."""
        from hepfm.data import feature_set
        from hepfm.networks.specs import TokenizerSpec
        from hepfm.train.pretraining import load_tokenizer, tokenizer_of

        recipe = self.recipe(run)
        if recipe.tokenizer is None:
            return None
        for trained in graph.parents(run, "tokenizer"):
            spec = self.requirements(graph, trained).tokenizer
            return None if spec is None else TokenizerSpec(spec.tokenizer, recipe.tokenizer.inputs)
        model = load_tokenizer(recipe.tokenizer.model, feature_set(recipe.data.features))
        return TokenizerSpec(tokenizer_of(model), recipe.tokenizer.inputs)

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
