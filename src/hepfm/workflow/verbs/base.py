"""The contract of a verb in a workflow, and what its runs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hepfm.core.config import merge
from hepfm.workflow.folder import RunFolder, Workspace
from hepfm.workflow.run import Run, Values


@dataclass(frozen=True)
class Needs:
    """Cores and GPUs of one run."""

    cores: int = 1
    gpus: int = 0


class Verb(ABC):
    """One verb: what it needs, and how one run of it is done.

    A class imports no torch before `run` is called: the scheduler asks it for its needs.
    """

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return what a run occupies where there are `cores`; training and measuring use one core."""
        return Needs()

    @abstractmethod
    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Do the run in its folder and return the facts that it notes.

        An earlier attempt may have been stopped at any point: what it left is continued or replaced.
        """


def asks_for_gpu(run: Run) -> int:
    """Return the GPUs that a training recipe asks for: one with ``train.device: cuda``."""
    return int(run.values["recipe"].get("train", {}).get("device") == "cuda")


def parents_of(workspace: Workspace, run: Run, role: str) -> Sequence[RunFolder]:
    """Return the folders of the parents in a role."""
    return [workspace.run(name) for name in run.parents[role]]


def store_path(workspace: Workspace, run: Run) -> Path:
    """Return where a run's store lies."""
    if "store" in run.parents:
        return workspace.run(run.parents["store"][0]).store
    return Path(run.paths["store"])


def recipe_of(workspace: Workspace, run: Run) -> Values:
    """Return the recipe of a training with the paths of its store and its tokenizer."""
    paths: Values = {"data": {"store": str(store_path(workspace, run))}}
    if "tokenizer" in run.parents:
        (tokenizer,) = parents_of(workspace, run, "tokenizer")
        paths["tokenizer"] = {"model": str(tokenizer.model)}
    return merge(run.values["recipe"], paths)
