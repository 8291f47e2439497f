"""What every verb shares: error handling, ``--json``, the next command."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import click

from hepfm.core import log
from hepfm.core.errors import HepfmError


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
        try:
            result = function(*args, **kwargs)
        except HepfmError as error:
            fail(error, as_json=as_json)
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


def fail(error: HepfmError, *, as_json: bool = False) -> None:
    """Print a user's mistake and leave with its exit code."""
    if as_json:
        click.echo(json.dumps({"error": str(error), "kind": type(error).__name__}))
    else:
        click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)
