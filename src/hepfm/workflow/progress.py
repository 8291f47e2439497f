"""Progress of a graph of runs: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hepfm.core.log import logger
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import STATES, State
from hepfm.workflow.verbs import VERBS

EVERY = 20.0
"""Seconds between plain lines."""


class Progress:
    """Is told the state of every run, and shows it."""

    def __init__(self, runs: Mapping[str, Run], workspace: Workspace, bars: Any = None) -> None:
        self.runs, self.workspace, self.bars = runs, workspace, bars
        self.states: dict[str, State] = {}
        self._last = 0.0
        self._reported: set[str] = set()
        self._tasks = {}
        if bars is not None:
            totals = Counter(run.verb for run in runs.values())
            self._tasks = {
                verb: bars.add_task(verb, total=totals[verb], note="") for verb in VERBS if totals[verb]
            }

    def show(self, states: dict[str, State]) -> None:
        """Take in the state of every run."""
        self.states = dict(states)
        self._report_failures()
        for verb, task in self._tasks.items():
            count = counts({name: state for name, state in states.items() if self.runs[name].verb == verb})
            others = ", ".join(f"{number} {state}" for state, number in count.items() if state != "done")
            self.bars.update(task, completed=count.get("done", 0), note=others)
        if self.bars is None and time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            logger.info("%s", self.line())

    def line(self) -> str:
        """Return one line for a log."""
        return ", ".join(f"{number} {state}" for state, number in counts(self.states).items())

    def _report_failures(self) -> None:
        for name, state in self.states.items():
            failure = self.workspace.run(name).failure() if state == "failed" else None
            if failure and name not in self._reported:
                self._reported.add(name)
                reason = failure["message"].strip().splitlines()[-1]
                logger.warning("%s failed (%s): %s", name, self.runs[name].note, reason)


@contextmanager
def showing(runs: Mapping[str, Run], workspace: Workspace, title: str) -> Iterator[Progress]:
    """Show progress on standard error within the block."""
    if not (sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)):
        shown = Progress(runs, workspace)
        yield shown
        logger.info("%s", shown.line())
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    console.print(title)
    with progress.Progress(*columns, console=console) as bars:
        yield Progress(runs, workspace, bars)


def counts(states: Mapping[str, State]) -> dict[str, int]:
    """Return how many runs are in each state; states without runs are left out."""
    number = Counter(states.values())
    return {state: number[state] for state in STATES if number[state]}
