"""Generation of rows with the best of the parents' models."""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.core.errors import ConfigError
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.selection import choose
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Verb, parents_of, store_path
from hepfm.workflow.verbs.finetune import Finetune


class Generate(Verb):
    """Generate a store, conditioned on the rows of a store where the run names one."""

    @staticmethod
    def plan(options: Values, models: Sequence[str], *, conditions: StoreInfo | None, note: str = "") -> Run:
        """Return the run that generates with the best of some models.

        Parameters
        ----------
        options
            Arguments of `hepfm.generate`: ``n``, ``seed``, options of the generator.
        models
            Names of the runs with the models.
        conditions
            Store whose rows generation is conditioned on; None without.
        note
            For people.
        """
        if conditions is None:
            return Run("generate", options, {"model": tuple(models)}, note=note)
        source = conditions.source
        parents = {"model": tuple(models), **source.parents}
        return Run("generate", {**options, **source.values}, parents, source.paths, note)

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse a model without generator, options that it lacks, and cells for rows without hits."""
        from hepfm.generators.options import sampling_config
        from hepfm.physics.voxels import load_voxels

        model = graph.parents(run, "model")[0]
        required = Finetune().requirements(graph, model).generator
        if required is None:
            name = Finetune().recipe(model).objective.name
            raise ConfigError(
                f"generate: the objective {name!r} trains no generator; use flow_matching or next_token"
            )
        cells = run.values.get("cells")
        if cells is not None:
            load_voxels(cells)
            if "hit_energy" not in graph.store(model).schema:
                raise ConfigError(
                    "generate: cells are for showers, and the rows of the store are jets; remove it"
                )
        options = {key: value for key, value in run.values.items() if key not in _ARGUMENTS}
        sampling_config(required.generator, options, where="generate")

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows."""
        return float(run.values["n"])

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


_ARGUMENTS = ("n", "seed", "cells", "store")
"""Values that are no options of the generator."""
