"""Messages and progress: a bar on a terminal, plain lines elsewhere; never on standard output."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger("hepfm")
"""The package's logger; libraries never configure it, the command line does."""


def configure(*, quiet: bool = False) -> None:
    """Send the package's messages to standard error; called by the command line only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False


class Advance(Protocol):
    """Callback of a progress display: `step` more is done, `note` is shown beside it."""

    def __call__(self, step: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Advance]:
    """Show progress of a long piece of work on standard error.

    On a terminal a bar; elsewhere a line at most every ten seconds and one at the end. Where the total is not
    known (None), what is done is counted alone.
    """
    if sys.stderr.isatty() and logger.isEnabledFor(logging.INFO):
        with _bar(title, total) as advance:
            yield advance
    else:
        yield _Lines(title, total)


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(title, total=total, note="")

        def advance(step: int = 1, note: str = "") -> None:
            display.update(task, advance=step, note=note)

        yield advance


class _Lines:
    """Progress as plain log lines, at most one every ten seconds."""

    def __init__(self, title: str, total: int | None, every: float = 10.0) -> None:
        self.title, self.total, self.every = title, total, every
        self.done, self.last = 0, time.monotonic()

    def __call__(self, step: int = 1, note: str = "") -> None:
        self.done += step
        if time.monotonic() - self.last >= self.every or self.done == self.total:
            self.last = time.monotonic()
            of = "" if self.total is None else f"/{self.total}"
            logger.info("%s: %d%s %s", self.title, self.done, of, note)
