"""Progress of a study: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import datetime as dt
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hepfm.core.log import logger
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan
from hepfm.workflow.schedule import STATES, State
from hepfm.workflow.verbs import VERBS

EVERY = 20.0
"""Seconds between plain lines."""


def runs_by_arm(plan: Plan) -> dict[str, set[str]]:
    """Return the runs that each arm needs; a shared run counts for every arm that needs it."""
    found: dict[str, set[str]] = {}
    for trial in plan.trials:
        wanted = [trial.evaluate, *trial.search]
        while wanted:
            name = wanted.pop()
            if name not in found.setdefault(trial.cell.arm, set()):
                found[trial.cell.arm].add(name)
                wanted.extend(plan.runs[name].needed)
    return found


@dataclass
class Board:
    """What is known of the progress.

    Attributes
    ----------
    plan, folder
        The study.
    slots
        Runs at the same time.
    """

    plan: Plan
    folder: StudyFolder
    slots: int
    seconds: dict[str, float] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    live: Any = None

    def __post_init__(self) -> None:
        self._arms = runs_by_arm(self.plan)
        self._last = 0.0
        self._told: set[str] = set()

    def show(self, states: dict[str, State]) -> None:
        """Take in the state of every run."""
        self.states = dict(states)
        for name, state in states.items():
            if state == "done" and name not in self.seconds:
                self.seconds[name] = float((self.folder.run(name).facts() or {}).get("seconds", 0.0))
        self._tell_failures()
        if self.live is not None:
            self.live.update(self.table())
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            logger.info("%s", self.line())

    def _tell_failures(self) -> None:
        for name, state in self.states.items():
            failure = self.folder.run(name).failure() if state == "failed" else None
            if failure and name not in self._told:
                self._told.add(name)
                first = failure["message"].strip().splitlines()[-1]
                logger.warning("%s failed (%s): %s", name, self.plan.runs[name].note, first)

    def remaining(self) -> float | None:
        """Return the seconds that are left, from the mean times of finished runs; None when unknown."""
        total = 0.0
        for verb in VERBS:
            left = self._left(verb)
            times = [self.seconds[name] for name in self.seconds if self.plan.runs[name].verb == verb]
            if left and not times:
                return None
            total += left * sum(times) / max(len(times), 1)
        return total / self.slots

    def _left(self, verb: str) -> int:
        return sum(
            self.plan.runs[name].verb == verb and state in ("waiting", "running")
            for name, state in self.states.items()
        )

    def line(self) -> str:
        """Return one line for a log."""
        counts = Counter(self.states.values())
        shown = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        return f"study: {shown}; left: {duration(self.remaining())}"

    def table(self) -> Any:
        """Return the table for a terminal."""
        from rich.table import Table

        table = Table(title=self.plan.config.description, caption=f"left: {duration(self.remaining())}")
        table.add_column("arm")
        for column in STATES:
            table.add_column(column, justify="right")
        for arm, names in self._arms.items():
            counts = Counter(self.states[name] for name in names)
            table.add_row(arm, *(str(counts[state]) if counts[state] else "" for state in STATES))
        return table


def duration(seconds: float | None) -> str:
    """Return a time for people.

    >>> duration(3725.2), duration(None)
    ('1:02:05', 'not known yet')
    """
    return "not known yet" if seconds is None else str(dt.timedelta(seconds=round(seconds)))


@contextmanager
def board(plan: Plan, folder: StudyFolder, slots: int) -> Iterator[Board]:
    """Show progress on standard error within the block."""
    shown = Board(plan, folder, slots)
    if not (sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)):
        yield shown
        logger.info("%s", shown.line())
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=2) as live:
        shown.live = live
        yield shown


def counts(states: Mapping[str, State]) -> dict[str, int]:
    """Return how many runs are in each state."""
    found = Counter(states.values())
    return {state: found[state] for state in STATES if found[state]}
