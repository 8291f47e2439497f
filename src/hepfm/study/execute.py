"""Work through a plan: what is ready is started, a failure stops only what needs it."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Literal, Protocol

from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, Run
from hepfm.study.work import in_child

State = Literal["waiting", "running", "done", "failed", "skipped"]
WAIT = 1.0
"""Seconds after which the progress display is refreshed without news."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
"""Settings of the processes: large blocks are kept between steps, which saves page faults."""

PRELOAD = (
    "torch._dynamo",
    "hepfm.train.finetune",
    "hepfm.train.pretrain",
    "hepfm.tasks.evaluate",
    "hepfm.tasks.model_subject",
    "hepfm.metrics.auc",
    "hepfm.objectives.supervised",
    "hepfm.backbones.transformer",
    "hepfm.study.work",
)
"""What the server imports before it forks; torch's optimizers import the largest of it when first built."""


class Pool(Protocol):
    """Where runs are done."""

    slots: int

    def start(self, run: Run, *, processes: int) -> None:
        """Begin a run."""

    def wait(self) -> list[str]:
        """Return the names of runs that ended since, after a second at most."""

    def close(self) -> None:
        """Stop everything that still runs."""


def start_server() -> multiprocessing.context.ForkServerContext:
    """Start the server that processes are forked from, if it does not run yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    with _environment({**ONE_THREAD, **KEEP_MEMORY}):
        multiprocessing.forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class LocalPool:
    """Processes of this machine: one for each run, so that all memory is given back at its end.

    They come from a server that has imported torch and done nothing else, which saves seconds a run.
    """

    def __init__(self, folder: StudyFolder, slots: int) -> None:
        self.folder, self.slots = folder, slots
        self.running: dict[str, BaseProcess] = {}
        self._context = start_server()

    def start(self, run: Run, *, processes: int) -> None:
        """Begin a run in a process of its own."""
        arguments = (str(self.folder.path), run.to_dict(), processes)
        process = self._context.Process(target=in_child, args=arguments, name=run.name)
        process.start()
        self.running[run.name] = process

    def wait(self) -> list[str]:
        """Return the names of runs whose process ended; one that died without a word is marked as failed."""
        sentinels = [process.sentinel for process in self.running.values()]
        multiprocessing.connection.wait(sentinels, timeout=WAIT)
        ended = [name for name, process in self.running.items() if not process.is_alive()]
        for name in ended:
            process = self.running.pop(name)
            process.join()
            own = self.folder.run(name)
            if own.facts() is None and own.failure() is None:
                own.fail(kind="Killed", message=_died(process.exitcode))
        return ended

    def close(self) -> None:
        """Stop all processes; what they had saved is kept."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.join()
        self.running.clear()


def _died(exitcode: int | None) -> str:
    if exitcode == -9:
        return "the process was killed (signal 9), as systems do when memory runs out; use fewer --processes"
    return f"the process ended with exit code {exitcode} and no message; see log.txt"


class Watcher(Protocol):
    """What is told of progress."""

    def show(self, states: dict[str, State]) -> None:
        """Take in the state of every run."""


def work_through(plan: Plan, folder: StudyFolder, pool: Pool, watcher: Watcher) -> dict[str, State]:
    """Do all runs of a plan that are not done; return how each ended.

    A finished run is never repeated, nor is one that failed in training: it would fail again. Other failures
    (killed, disk full) get another chance with each call.
    """
    states: dict[str, State] = {name: folder.status(name) for name in plan.runs}  # type: ignore[misc]
    try:
        while _advance(plan, states, pool):
            watcher.show(states)
            for name in pool.wait():
                states[name] = "done" if folder.run(name).facts() is not None else "failed"
    finally:
        pool.close()
    watcher.show(states)
    return states


def _advance(plan: Plan, states: dict[str, State], pool: Pool) -> bool:
    """Start what is ready and settle what cannot be done; return whether anything is running."""
    _skip_hopeless(plan, states)
    running = [plan.runs[name] for name, state in states.items() if state == "running"]
    for name, run in plan.runs.items():
        if len(running) >= pool.slots or any(one.verb == "simulate" for one in running):
            break
        alone = run.verb == "simulate"
        if states[name] == "waiting" and _ready(run, states) and not (alone and running):
            pool.start(run, processes=pool.slots if alone else 1)
            states[name] = "running"
            running.append(run)
    return bool(running)


def _skip_hopeless(plan: Plan, states: dict[str, State]) -> None:
    for name, run in plan.runs.items():  # parents come first
        if states[name] == "waiting" and any(_lost(parents, states) for parents in run.parents.values()):
            states[name] = "skipped"


def _lost(parents: Sequence[str], states: dict[str, State]) -> bool:
    """Of several candidates one is enough."""
    return all(states[name] in ("failed", "skipped") for name in parents)


def _ready(run: Run, states: dict[str, State]) -> bool:
    return all(states[name] in ("done", "failed", "skipped") for name in run.needed)
