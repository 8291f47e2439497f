"""Fine-tuning of a parent's model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hepfm.core.config import merge
from hepfm.core.errors import ConfigError
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.selection import choose, learning_rate
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.adopt import Adopt
from hepfm.workflow.verbs.base import parents_of, recipe_of
from hepfm.workflow.verbs.joint import PretrainJoint
from hepfm.workflow.verbs.pretrain import Pretrain
from hepfm.workflow.verbs.training import TrainingVerb, train

if TYPE_CHECKING:
    from hepfm.core.config import Component
    from hepfm.objectives.requirements import Requirements
    from hepfm.train.dry_run import Cost
    from hepfm.train.recipe import FinetuneRecipe

DOMAIN = "domain"
"""What the values of a fine-tuning call the domain whose model it starts from."""


class Finetune(TrainingVerb):
    """Adapt a model to a task, with the learning rate of the best parent in the role ``choice``."""

    verb = "finetune"
    rows_key = "budget"

    def read(self, values: Values, where: str) -> FinetuneRecipe:
        """Return a recipe, checked."""
        from hepfm.train.recipe import read_finetune_recipe
        from hepfm.train.replicas import check_shard

        recipe = read_finetune_recipe(values, where=where)
        check_shard(recipe.train.shard)
        return recipe

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse components that do not fit, and a store without the rows and classes that are asked for."""
        recipe, store = self.recipe(run), graph.store(run)
        data, labels = recipe.data, self.requirements(graph, run).labels
        store.check_rows(data.train, data.budget, "data.budget")
        if recipe.early_stopping:
            self.check_validation(graph, run)
        if len(labels) == 1 and store.schema[labels[0]].classes:
            _check_classes(store, data.train, labels[0], data.budget)

    def check_validation(self, graph: RunGraph, run: Run) -> None:
        """Refuse a budget of which no row is left to validate on."""
        from hepfm.train.validation_rows import check_validation_part, validation_places

        data, store = self.recipe(run).data, graph.store(run)
        rows, labels, width = (
            data.budget or store.check_split(data.train),
            self.requirements(graph, run).labels,
            1,
        )
        if data.budget is not None and len(labels) == 1:  # drawn in equal parts, class by class
            width = max(sum(count > 0 for count in store.class_counts(data.train, labels[0]).values()), 1)
        validated = validation_places(rows, data.validation_fraction, width=width)
        check_validation_part(rows, int(validated.sum()), fraction=data.validation_fraction)

    def requirements(self, graph: RunGraph, run: Run) -> Requirements:
        """Return what the objective needs; raise `IncompatibleError` where model or data lack it."""
        from hepfm.objectives.compatibility import check_compatible

        backbone, grouping = _architecture(graph, run)
        schema = graph.store(run).schema
        return check_compatible(self.recipe(run).objective, backbone, schema, grouping)

    def time(self, workspace: Workspace, run: Run, recipe: Values) -> Cost:
        """Return what a few steps cost."""
        from hepfm.train.finetune import dry_run

        (parent,) = parents_of(workspace, run, "model")
        return dry_run(parent.model_of(run.values.get(DOMAIN)), recipe)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Train, from the last checkpoint if there is one."""
        from hepfm.train.finetune import finetune

        folder, recipe = workspace.run(run.name), recipe_of(workspace, run)
        if "choice" in run.parents:
            rate = learning_rate(choose(parents_of(workspace, run, "choice")))
            recipe = set_rate(recipe, rate)
        (parent,) = parents_of(workspace, run, "model")
        model = parent.model_of(run.values.get(DOMAIN))
        facts = train(folder, lambda output: finetune(model, recipe, output=output))
        return {**facts, "rate": learning_rate(folder)}


def _architecture(graph: RunGraph, run: Run) -> tuple[Component, Component]:
    """Return backbone and grouping of the model that a fine-tuning starts from."""
    (model,) = graph.parents(run, "model")
    if model.verb == Adopt.verb:
        return Adopt.architecture(model)
    domain = run.values.get(DOMAIN)
    source = Pretrain().recipe(model if domain is None else PretrainJoint().alone(model, domain))
    return source.backbone, source.grouping


def of_domain(run: Run, domain: str) -> Run:
    """Return a fine-tuning that starts from the model of a domain, of a parent with several."""
    return replace(run, values={**run.values, DOMAIN: domain})


def set_rate(values: Values, rate: float) -> Values:
    """Return a recipe with another learning rate.

    >>> set_rate({"train": {"optimizer": {"name": "lion", "lr": 1.0}}}, 0.5)
    {'train': {'optimizer': {'name': 'lion', 'lr': 0.5}}}
    """
    return merge(values, {"train": {"optimizer": {"lr": rate}}})


def _check_classes(store: StoreInfo, split: str, label: str, budget: int | None) -> None:
    counts = store.class_counts(split, label)
    absent = [name for name, count in counts.items() if count == 0]
    if absent:
        raise ConfigError(
            f"no row of split {split!r} has the class {', '.join(absent)}; a model cannot learn it there"
        )
    each = -(-(budget or 0) // len(counts))
    few = [f"{name} ({count:,})" for name, count in counts.items() if count < each]
    if few:
        raise ConfigError(
            f"a budget of {budget:,} takes {each:,} rows of each class; split {split!r} has fewer of "
            f"{', '.join(few)}"
        )
