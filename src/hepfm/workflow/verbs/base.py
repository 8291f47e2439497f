"""The contract of a verb in a workflow, and what its runs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hepfm.core.config import merge
from hepfm.workflow.folder import RunFolder, Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values

if TYPE_CHECKING:
    from hepfm.workflow.estimate import Bench, Timing


@dataclass(frozen=True)
class Needs:
    """Cores and GPUs of one run."""

    cores: int = 1
    gpus: int = 0


class Verb(ABC):
    """One verb: what its runs need, whether they can work, what they cost, and how one is done.

    Only `check`, `measure` and `run` import torch: the scheduler, which has none, asks for the needs.
    """

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return what a run occupies where there are `cores`; measuring uses one core."""
        return Needs()

    @abstractmethod
    def check(self, graph: RunGraph, run: Run) -> None:
        """Raise `HepfmError` for a run that cannot work, from what is known before any run."""

    @abstractmethod
    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return how much a run does, at most, in the unit in which its time grows: steps or rows."""

    def small(self, run: Run, *, rows: int) -> Run:
        """Return a run of seconds that leaves the same kind of output, to measure others with.

        Parameters
        ----------
        run
            The run.
        rows
            Rows of each class and split of a store that is made.

        Raises
        ------
        NotImplementedError
            For a verb whose output no other run needs.
        """
        raise NotImplementedError(run.verb)

    def measure(self, bench: Bench, run: Run) -> Timing | None:
        """Time a run in small; None for a verb of which only finished runs tell."""
        return None

    @abstractmethod
    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Do the run in its folder and return the facts that it notes.

        An earlier attempt may have been stopped at any point: what it left is continued or replaced.
        """


def parents_of(workspace: Workspace, run: Run, role: str) -> Sequence[RunFolder]:
    """Return the folders of the parents in a role."""
    return [workspace.run(name) for name in run.parents[role]]


def store_path(workspace: Workspace, run: Run, role: str = "store") -> Path:
    """Return where the store lies that a run reads in a role."""
    if role in run.parents:
        return workspace.run(run.parents[role][0]).store
    return Path(run.paths[role])


def recipe_of(workspace: Workspace, run: Run) -> Values:
    """Return the recipe of a training with the paths of its store and its tokenizer."""
    paths: Values = {"data": {"store": str(store_path(workspace, run))}}
    if "tokenizer" in run.parents:
        (tokenizer,) = parents_of(workspace, run, "tokenizer")
        paths["tokenizer"] = {"model": str(tokenizer.model)}
    return merge(run.values["recipe"], paths)
