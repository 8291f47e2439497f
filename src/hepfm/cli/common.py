"""What every verb shares: error handling, ``--json``, the next command."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from hepfm.core import log
from hepfm.core.errors import HepfmError
from hepfm.core.guards import words
from hepfm.core.interrupts import INTERRUPTED, orderly_sigterm


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a verb: user errors end with exit code 2 and no traceback; add ``--json`` and ``--quiet``.

    The function returns a JSON-ready dict; its key ``"next"``, when present, is the obvious next command, and
    its key ``"exit_code"`` what to leave with where that is not 0 (some of what was asked failed).
    With ``--json`` the dict is printed; otherwise its ``"lines"``, then the next command.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="No progress and no messages.")
    @functools.wraps(function)
    def run(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> None:
        log.configure(quiet=quiet or as_json)
        with ended_in_words(as_json=as_json), orderly_sigterm():
            result = function(*args, **kwargs)
        if as_json:
            click.echo(json.dumps(result, indent=2))
        elif result:
            for line in result.get("lines", ()):
                click.echo(line)
            if "next" in result:
                click.echo(f"next: {result['next']}")
        if result and result.get("exit_code"):
            sys.exit(result["exit_code"])

    return run


@contextlib.contextmanager
def ended_in_words(*, as_json: bool = False) -> Iterator[None]:
    """End the process with a short message and an exit code after a user's mistake or Ctrl-C in the block.

    What the system refuses (a file that cannot be opened, a full disk) is told with the file's name: the last
    net below the guards of `hepfm.core.guards`.
    """
    try:
        yield
    except HepfmError as error:
        fail(error, as_json=as_json)
    except KeyboardInterrupt as stop:
        interrupted(stop)
    except OSError as error:
        if error.errno == errno.EPIPE:  # of `hepfm ... | head`; click ends quietly
            raise
        file = f"{error.filename}: " if error.filename else ""
        fail(HepfmError(f"{file}{words(error)}"), as_json=as_json)


def fail(error: HepfmError, *, as_json: bool = False) -> NoReturn:
    """Print a user's mistake and leave with its exit code."""
    if as_json:
        click.echo(json.dumps({"error": str(error), "kind": type(error).__name__}))
    else:
        click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def interrupted(stop: KeyboardInterrupt) -> NoReturn:
    """Say that Ctrl-C was heard, and how to go on where that is known; leave with exit code 130."""
    click.echo(f"\ninterrupted; {str(stop) or 'nothing half-made was left'}", err=True)
    sys.exit(INTERRUPTED)
