"""Errors as values: which kinds a verb can end with, and what is said of each."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import click

from hepfm.cli.result import Failure
from hepfm.core.errors import HepfmError
from hepfm.core.guards import words
from hepfm.core.interrupts import INTERRUPTED, Terminated

FAULT = 1
"""Exit code of what is no mistake of the user."""


def failure_of(error: BaseException) -> Failure | None:
    """Return what is said of an error; None for one that is no user's doing.

    What the system refuses (a file that cannot be opened, a full disk) is told with the file's name: the last
    net below the guards of `hepfm.core.guards`.
    """
    kind = type(error).__name__
    if isinstance(error, HepfmError):
        return Failure(type=kind, message=str(error), exit_code=error.exit_code)
    if isinstance(error, click.ClickException):
        return Failure(type=kind, message=_usage(error), exit_code=error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        message = f"interrupted; {str(error) or 'nothing half-made was left'}"
        return Failure(type="Interrupted", message=message, exit_code=INTERRUPTED)
    if isinstance(error, Terminated):
        return Failure(type=kind, message=error.message, exit_code=int(str(error.code)))
    if isinstance(error, OSError) and error.errno != errno.EPIPE:  # of `hepfm ... | head`; click ends quietly
        file = f"{error.filename}: " if error.filename else ""
        return Failure(
            type=HepfmError.__name__, message=f"{file}{words(error)}", exit_code=HepfmError.exit_code
        )
    return None


def fault(error: Exception) -> Failure:
    """Return what is said of an error that is a fault of hepfm."""
    message = f"{words(error)}; this is a fault of hepfm: please report it with its traceback"
    return Failure(type=type(error).__name__, message=message, exit_code=FAULT)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    return f"{message} (see `{context.command_path} --help`)" if context else message


def kinds_of_errors() -> Iterator[tuple[str, str]]:
    """Yield the kinds of errors of any verb, and what each means."""
    yield "UsageError", "A missing, unknown or unreadable argument, in kinds of its own (BadParameter ...)."
    known = [HepfmError]
    for kind in known:
        yield kind.__name__, (kind.__doc__ or "").split("\n\n")[0]
        known += [one for one in kind.__subclasses__() if one.__module__ == HepfmError.__module__]
    yield "Interrupted", "Stopped by Ctrl-C; the message says how to go on."
    yield Terminated.__name__, "Stopped by SIGTERM; the message says how to go on."
