"""What runs would cost: from finished runs of their kind, else from a few timed steps, else unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean
from typing import TypeVar

from hepfm.core.errors import HepfmError, TrainingError
from hepfm.core.log import progress
from hepfm.workflow.child import in_child, one_thread, start_server
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run
from hepfm.workflow.verbs import VERBS
from hepfm.workflow.verbs.base import Verb

SMALL_ROWS = 100
"""Rows of each class and split of a store that is simulated to measure with."""

SMALL_ROWS_WITH_TOKENIZER = 1000
"""The same where a tokenizer is trained, whose tokens start from different constituents."""

T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """How long runs of a kind take.

    Attributes
    ----------
    unit
        Core seconds of a step or a row, whichever the verb counts.
    start
        Core seconds of a run besides.
    memory
        Peak bytes.
    """

    unit: float
    start: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Estimate:
    """All runs of one verb and kind.

    Attributes
    ----------
    verb, kind
        What is done, and to what.
    runs, done
        How many there are, and how many of them are finished.
    seconds
        Core seconds of the others, at most; None when unknown.
    memory
        Peak bytes of one run; 0 when unknown.
    problem
        Why it could not be measured; empty otherwise.
    """

    verb: str
    kind: str
    runs: int
    done: int
    seconds: float | None
    memory: int = 0
    problem: str = ""


def estimate(
    graph: RunGraph, workspace: Workspace, kinds: Mapping[str, str], scratch: Workspace
) -> tuple[Estimate, ...]:
    """Estimate the runs of a graph that are not done, those of one kind together.

    Parameters
    ----------
    graph
        The runs.
    workspace
        Where finished ones lie; nothing is written there.
    kinds
        What kind each run is, by its name: those of one kind take equally long for each step or row.
    scratch
        An empty workspace for what is made to measure with.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for verb in VERBS:
        for run in graph.runs.values():
            if run.verb == verb:
                groups.setdefault((verb, kinds[run.name]), []).append(run)
    bench, estimates = Bench(graph, workspace, scratch), []
    with progress("measuring", len(groups)) as advance:
        for (verb, kind), runs in groups.items():
            estimates.append(_estimate(bench, verb, kind, runs))
            advance(1, f"{verb} {kind}")
    return tuple(estimates)


def _estimate(bench: Bench, name: str, kind: str, runs: Sequence[Run]) -> Estimate:
    left = [run for run in runs if bench.workspace.status(run.name) == "waiting"]
    done = sum(bench.workspace.status(run.name) == "done" for run in runs)
    known = partial(Estimate, name, kind, len(runs), done)
    if not left:
        return known(0.0)
    verb: Verb = VERBS.load(name)()
    try:
        timing = _finished(bench, verb, runs) or verb.measure(bench, left[0])
    except HepfmError as error:
        return known(None, problem=str(error))
    if timing is None:
        return known(None)
    seconds = sum(timing.start + timing.unit * verb.amount(bench.graph, run) for run in left)
    return known(seconds, timing.memory)


def _finished(bench: Bench, verb: Verb, runs: Sequence[Run]) -> Timing | None:
    """Return what finished runs took, but for those that were stopped: they note their last attempt alone."""
    folders = [(run, bench.workspace.run(run.name)) for run in runs]
    whole = [
        (run, folder, facts)
        for run, folder in folders
        if (facts := folder.facts()) and not facts["after_a_stop"]
    ]
    if not whole:
        return None
    seconds = [
        folder.core_seconds / (facts.get("steps") or verb.amount(bench.graph, run))
        for run, folder, facts in whole
    ]
    return Timing(mean(seconds), memory=max(facts["peak_memory_bytes"] for _, _, facts in whole))


class Bench:
    """Makes what a run needs to be timed: its parents, in small where they are not finished.

    Attributes
    ----------
    graph
        All runs.
    workspace
        Where finished ones lie.
    scratch
        Where small ones are made; finished ones are linked there.
    """

    def __init__(self, graph: RunGraph, workspace: Workspace, scratch: Workspace) -> None:
        self.graph, self.workspace, self.scratch = graph, workspace, scratch
        tokenizes = any(run.verb == "tokenize" for run in graph.runs.values())
        self._rows = SMALL_ROWS_WITH_TOKENIZER if tokenizes else SMALL_ROWS
        self._ready: dict[str, str] = {}

    def ready(self, name: str) -> str:
        """Return under which name a run is finished in `scratch`: the run itself, or a small version of it.

        Raises
        ------
        HepfmError
            When the small one fails.
        """
        if name not in self._ready:
            finished = self.workspace.run(name).facts() is not None
            self._ready[name] = self._link(name) if finished else self._make(self.graph.runs[name])
        return self._ready[name]

    def placed(self, run: Run) -> Run:
        """Return a run on parents that are ready in `scratch`; of several candidates the first is enough."""
        return replace(run, parents={role: (self.ready(names[0]),) for role, names in run.parents.items()})

    def has_few_rows(self, run: Run) -> bool:
        """Tell whether a store of a run is simulated in small."""
        stores = (names for role, names in run.parents.items() if role.partition(".")[0] == "store")
        return any(self.ready(name) != name for names in stores for name in names)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call in a process of its own, so that its peak of memory is its own."""
        with ProcessPoolExecutor(1, mp_context=start_server(), initializer=one_thread) as pool:
            return pool.submit(function, *arguments).result()

    def _link(self, name: str) -> str:
        link = self.scratch.run(name).path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.workspace.run(name).path.resolve())
        return name

    def _make(self, run: Run) -> str:
        verb: Verb = VERBS.load(run.verb)()
        small = self.placed(verb.small(run, rows=self._rows))
        process = start_server().Process(target=in_child, args=(str(self.scratch.path), small.to_dict(), 1))
        process.start()
        process.join()
        folder = self.scratch.run(small.name)
        if folder.facts() is None:
            failure = folder.failure() or {"message": f"the process ended with code {process.exitcode}"}
            raise TrainingError(failure["message"])
        return small.name
