"""Work through a graph of runs: what is ready is started, a failure stops only what needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.verbs import VERBS
from hepfm.workflow.verbs.base import Needs

State = Literal["waiting", "running", "done", "failed", "skipped"]
STATES: tuple[State, ...] = ("done", "running", "waiting", "failed", "skipped")


class Pool(Protocol):
    """Where runs are done."""

    cores: int
    cores_per_worker: int

    def start(self, run: Run, needs: Needs) -> None:
        """Begin a run."""

    def wait(self) -> list[str]:
        """Return the names of runs that ended since, after a second at most."""

    def close(self) -> None:
        """Stop everything that still runs."""


class Watcher(Protocol):
    """What is told of progress."""

    def show(self, states: dict[str, State]) -> None:
        """Take in the state of every run."""


def needs_of(run: Run, cores: int) -> Needs:
    """Return what a run occupies where it can have `cores`."""
    needs: Needs = VERBS.load(run.verb)().needs(run, cores=cores)
    return needs


def work_through(
    runs: Mapping[str, Run], workspace: Workspace, pool: Pool, watcher: Watcher
) -> dict[str, State]:
    """Do all runs (parents first in `runs`) that are not done; return how each ended.

    A finished run is never repeated, nor is one whose training diverged: it would diverge again. Other
    failures (killed, disk full) get another chance with each call.
    """
    states: dict[str, State] = {name: workspace.status(name) for name in runs}
    try:
        while _advance(runs, states, pool):
            watcher.show(states)
            for name in pool.wait():
                states[name] = "done" if workspace.run(name).facts() is not None else "failed"
    finally:
        pool.close()
    watcher.show(states)
    return states


def _advance(runs: Mapping[str, Run], states: dict[str, State], pool: Pool) -> bool:
    """Start what is ready and settle what cannot be done; return whether anything is running."""
    _skip_hopeless(runs, states)
    needs = {name: needs_of(runs[name], pool.cores_per_worker) for name, state in states.items()}
    free = pool.cores - sum(needs[name].cores for name, state in states.items() if state == "running")
    for name, run in runs.items():
        if states[name] == "waiting" and _ready(run, states):
            if needs[name].cores > free:
                break  # runs of one core must not keep one that needs all from ever starting
            pool.start(run, needs[name])
            states[name] = "running"
            free -= needs[name].cores
    return "running" in states.values()


def _skip_hopeless(runs: Mapping[str, Run], states: dict[str, State]) -> None:
    for name, run in runs.items():  # parents come first
        if states[name] == "waiting" and any(_lost(parents, states) for parents in run.parents.values()):
            states[name] = "skipped"


def _lost(parents: Sequence[str], states: dict[str, State]) -> bool:
    """Return whether a role cannot be filled; of several candidates one is enough."""
    return all(states[name] in ("failed", "skipped") for name in parents)


def _ready(run: Run, states: dict[str, State]) -> bool:
    return all(states[name] in ("done", "failed", "skipped") for name in run.needed)
