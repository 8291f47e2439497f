"""A model directory that exists, taken into the workspace so that fine-tunings can start from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Verb

if TYPE_CHECKING:
    from hepfm.core.config import Component
    from hepfm.workflow.estimate import Bench, Timing


class Adopt(Verb):
    """Copy a model directory; the run is addressed by what is in it, wherever it lies."""

    verb = "adopt"

    @classmethod
    def plan(cls, model: str, *, note: str) -> Run:
        """Return the run that takes a model in.

        Parameters
        ----------
        model
            A model directory, a run, ``hepfm:NAME`` or ``hf://owner/name``.
        note
            For people.

        Raises
        ------
        ModelError
            When there is no such model.
        """
        from hepfm.workflow.existing_models import model_name

        name, path = model_name(model)
        return Run(cls.verb, {"model": name}, paths={"model": path}, note=note)

    @staticmethod
    def architecture(run: Run) -> tuple[Component, Component]:
        """Return backbone and grouping of the model."""
        from hepfm.backbones import BACKBONES
        from hepfm.core.config import resolve_component
        from hepfm.groupings import GROUPINGS
        from hepfm.models.directory import read_config

        path = Path(run.paths["model"])
        config = read_config(path)
        return (
            resolve_component(BACKBONES, config["backbone"], where=f"{path}: backbone"),
            resolve_component(GROUPINGS, config.get("grouping") or "particles", where=f"{path}: grouping"),
        )

    def check(self, graph: RunGraph, run: Run) -> None:
        """Find nothing: a model that is missing or damaged is refused when the run is planned."""

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return 1, for a copy."""
        return 1.0

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the run itself."""
        return run

    def measure(self, bench: Bench, run: Run) -> Timing:
        """Return nothing to speak of: a copy of some megabytes."""
        from hepfm.workflow.estimate import Timing

        bench.ready(run.name)
        return Timing(0.0)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Copy; what a stopped attempt left is replaced."""
        folder = workspace.run(run.name)
        folder.clear(folder.model)
        shutil.copytree(run.paths["model"], folder.model)
        return {"from": run.paths["model"]}
