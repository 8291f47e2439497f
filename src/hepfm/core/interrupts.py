"""Ctrl-C and SIGTERM: messages, what is saved first, and the shell's exit codes 130 and 143."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from hepfm.core import log

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes: 128 and the number of the signal."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C at a place that can be resumed; the message says how."""


class Terminated(SystemExit):
    """SIGTERM; ends the process with the exit code of the shell unless it is caught.

    Attributes
    ----------
    message
        What was done first, and how to go on.
    """

    def __init__(self, message: str = "SIGTERM: stopped; what was complete is kept") -> None:
        super().__init__(TERMINATED)
        self.message = message


@contextlib.contextmanager
def advising(advice: str) -> Iterator[None]:
    """Add to a Ctrl-C in the block the advice how to resume, unless an inner block did."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(advice) from None


class StopRequest:
    """Whether a SIGTERM has come."""

    def __init__(self) -> None:
        self.came = False


@contextlib.contextmanager
def deferred_sigterm(promise: str) -> Iterator[StopRequest]:
    """Only note a first SIGTERM within the block, so that work can be saved; a second one ends the process.

    In threads other than the main one, where Python has no signals, nothing is noted.

    Parameters
    ----------
    promise
        What is done first, for the message.
    """
    request = StopRequest()

    def note(_number: int, _frame: FrameType | None) -> None:
        request.came = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log.logger.warning("SIGTERM: %s; a second one ends at once", promise)

    with _handled(note):
        yield request


@contextlib.contextmanager
def orderly_sigterm() -> Iterator[None]:
    """Let a SIGTERM within the block run the clean-up of `with` blocks; a second one ends the process."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop = Terminated()
        log.logger.warning(stop.message)
        raise stop

    with _handled(leave):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
