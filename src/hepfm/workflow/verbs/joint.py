"""Pre-training of one backbone on several domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hepfm.core.config import merge
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import store_path
from hepfm.workflow.verbs.pretrain import Pretrain
from hepfm.workflow.verbs.training import TrainingVerb, bare, train

if TYPE_CHECKING:
    from hepfm.train.dry_run import Cost
    from hepfm.train.joint_recipe import JointRecipe


class PretrainJoint(TrainingVerb):
    """Train a model of each domain from a recipe with ``domains``; each reads the store in its own role."""

    verb = "joint"
    rows_key = "rows"
    optional = ("early_stopping",)

    def read(self, values: Values, where: str) -> JointRecipe:
        """Return a recipe, checked."""
        from hepfm.train.joint_recipe import read_joint_recipe

        return read_joint_recipe(values, where=where)

    def plan_joint(self, values: Values, stores: Mapping[str, StoreInfo], *, where: str, note: str) -> Run:
        """Return the run of a recipe; `stores` are those of its domains.

        Raises
        ------
        ConfigError
            When the recipe is wrong; `where` says which.
        """
        resolved = bare(self.read(values, where).model_dump(mode="json"), self.optional)
        domains = {name: bare(one, ()) for name, one in resolved["domains"].items()}
        sources = {role_of(name): stores[name].source for name in domains}
        prints = {role: source.values["store"] for role, source in sources.items() if source.values}
        parents = {role: source.parents["store"] for role, source in sources.items() if source.parents}
        paths = {role: source.paths["store"] for role, source in sources.items() if source.paths}
        return Run(self.verb, {"recipe": {**resolved, "domains": domains}, **prints}, parents, paths, note)

    def recipe(self, run: Run) -> JointRecipe:
        """Return the checked recipe of a planned run; its stores have no path."""
        return self.read(_with_stores(run, dict.fromkeys(_domains(run), "")), "")

    def alone(self, run: Run, domain: str) -> Run:
        """Return the run that would train a domain alone; it is in no graph, but says what its network is."""
        role, recipe = role_of(domain), self.recipe(run).recipe_of(domain).model_dump(mode="json")
        return Run(
            "pretrain",
            {"recipe": bare(recipe, self.optional)},
            {"store": run.parents[role]} if role in run.parents else {},
            {"store": run.paths[role]} if role in run.paths else {},
            run.note,
        )

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse a backbone that cannot be shared, and what cannot train a domain alone."""
        from hepfm.networks.sharing import check_sharing
        from hepfm.train.joint_pretraining import named

        check_sharing(self.recipe(run).backbone)
        for domain in _domains(run):
            with named(domain):
                Pretrain().check(graph, self.alone(run, domain))

    def _on_few_rows(self, recipe: Values) -> Values:
        few = {name: {"data": {self.rows_key: None}} for name in recipe["domains"]}
        return merge(recipe, {"domains": few})

    def placed(self, workspace: Workspace, run: Run) -> Values:
        """Return the recipe with the paths of its stores."""
        paths = {name: str(store_path(workspace, run, role_of(name))) for name in _domains(run)}
        return _with_stores(run, paths)

    def time(self, workspace: Workspace, run: Run, recipe: Values) -> Cost:
        """Return what a few steps cost."""
        from hepfm.train.pretrain import dry_run

        return dry_run(recipe)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Train, from the last checkpoint if there is one."""
        from hepfm.train.pretrain import pretrain

        recipe = self.placed(workspace, run)
        return train(workspace.run(run.name), lambda output: pretrain(recipe, output=output))


def role_of(domain: str) -> str:
    """Return the role of the store of a domain."""
    return f"store.{domain}"


def _domains(run: Run) -> list[str]:
    return list(run.values["recipe"]["domains"])


def _with_stores(run: Run, stores: Mapping[str, str]) -> Values:
    domains = {name: {"data": {"store": path}} for name, path in stores.items()}
    return merge(run.values["recipe"], {"domains": domains})
