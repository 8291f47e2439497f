"""What pre-training, tokenizing and fine-tuning share: recipes, addresses, time, and starting or resuming."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepfm.core.config import merge
from hepfm.core.files import read_json
from hepfm.workflow.folder import RunFolder, Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Needs, Verb, recipe_of

if TYPE_CHECKING:
    from hepfm.train.dry_run import Cost
    from hepfm.workflow.estimate import Bench, Timing

_NO_EFFECT = ("log_every", "checkpoint_every", "trackers")
"""Keys of the section ``train`` that do not change the parameters of the model."""


class TrainingVerb(Verb):
    """A verb that trains by a recipe."""

    verb: str
    rows_key: str
    """Key of the section ``data`` that bounds the number of rows."""
    optional: tuple[str, ...] = ()
    """Sections that are in the address only where the recipe has them."""

    @abstractmethod
    def read(self, values: Values, where: str) -> Any:
        """Return a recipe, checked; raise `ConfigError` with every mistake, which begins with `where`."""

    def plan(
        self,
        values: Values,
        store: StoreInfo,
        *,
        where: str,
        parents: Mapping[str, tuple[str, ...]] | None = None,
        note: str = "",
    ) -> Run:
        """Return the run of a recipe, with every option spelled out in its address.

        Raises
        ------
        ConfigError
            When the recipe is wrong; `where` says which.
        """
        resolved, source = self.read(values, where).model_dump(mode="json"), store.source
        return Run(
            self.verb,
            {"recipe": bare(resolved, self.optional), **source.values},
            {**source.parents, **(parents or {})},
            source.paths,
            note,
        )

    def recipe(self, run: Run) -> Any:
        """Return the checked recipe of a planned run; its store has no path."""
        return self.read(merge(run.values["recipe"], {"data": {"store": ""}}), "")

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where the recipe asks for one."""
        return Needs(gpus=int(run.values["recipe"].get("train", {}).get("device") == "cuda"))

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of steps; early stopping makes fewer."""
        return float(run.values["recipe"]["train"]["steps"])

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the same training of one step."""
        recipe = merge(run.values["recipe"], {"train": {"steps": 1, "validate_every": 1}})
        return Run(
            run.verb, {**run.values, "recipe": self._on_few_rows(recipe)}, run.parents, run.paths, run.note
        )

    def _on_few_rows(self, recipe: Values) -> Values:
        return merge(recipe, {"data": {self.rows_key: None}})

    def placed(self, workspace: Workspace, run: Run) -> Values:
        """Return the recipe of a run with the paths of what it reads."""
        return recipe_of(workspace, run)

    def measure(self, bench: Bench, run: Run) -> Timing:
        """Time one step with everything around it, then a few steps and batches of a validation alone."""
        from hepfm.workflow.estimate import Timing

        small = bench.ready(run.name)
        placed = bench.placed(run)
        recipe = self.placed(bench.scratch, placed)
        if bench.has_few_rows(run):
            recipe = self._on_few_rows(recipe)
        cost: Cost = bench.call(self.time, bench.scratch, placed, recipe)
        step = cost.seconds_per_step + cost.validation_seconds / int(recipe["train"]["validate_every"])
        besides = bench.scratch.run(small).core_seconds - step
        return Timing(step, max(besides, 0.0), cost.peak_memory_bytes)

    @abstractmethod
    def time(self, workspace: Workspace, run: Run, recipe: Values) -> Cost:
        """Return what a few steps of a recipe cost."""


def bare(values: Values, optional: tuple[str, ...]) -> Values:
    """Return a resolved recipe without what does not change the result; the store is named apart."""
    left_out = {"description", *(key for key in optional if values[key] is None)}
    kept = {key: value for key, value in values.items() if key not in left_out}
    for section, without in (("data", ("store",)), ("train", _NO_EFFECT)):
        if section in kept:
            kept[section] = {key: value for key, value in kept[section].items() if key not in without}
    return kept


def train(folder: RunFolder, start: Callable[[Path], object]) -> Values:
    """Train from the last checkpoint of a stopped attempt, or from the start; return the facts."""
    from hepfm.train.resume import resume
    from hepfm.train.run import RunDirectory

    if not RunDirectory(folder.training).finished:
        if (folder.training / "config.json").exists() and not RunDirectory(folder.training).failed_at_start:
            resume(folder.training)
        else:
            folder.clear(folder.training)
            start(folder.training)
    return training_facts(folder)


def training_facts(folder: RunFolder) -> Values:
    """Return steps and rows seen of a finished training, and the parameters where it leaves one model."""
    from hepfm.train.run import RunDirectory

    length = read_json(RunDirectory(folder.training).length)
    parameters = (
        {"parameters": _count_parameters(folder.model / "model.safetensors")} if folder.model.exists() else {}
    )
    return {
        "steps": length["steps"] or 0,
        "rows": length["rows_seen"] or 0,
        "best_step": length["best_step"],
        "training_rows": length["training_rows"],
        **parameters,
    }


def _count_parameters(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return sum(math.prod(shape) for shape in shapes)
