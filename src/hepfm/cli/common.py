"""What every verb shares: error handling, ``--json``, the next command."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NoReturn

import click
from click.exceptions import Exit

from hepfm.cli.failures import failure_of, fault
from hepfm.cli.result import Failure, VerbResult
from hepfm.core import log
from hepfm.core.interrupts import Terminated, orderly_sigterm


def verb(function: Callable[..., VerbResult | None]) -> Callable[..., None]:
    """Wrap a verb: user errors end with exit code 2 and no traceback; add ``--json`` and ``--quiet``.

    The function returns a `VerbResult`; the annotation of its return value says of which kind, and
    `hepfm.cli.schema` makes the JSON Schema of it. It returns None where another process speaks. With
    ``--json`` one JSON object is printed, for errors too, and all else goes to standard error; otherwise the
    result in words.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="No progress and no messages.")
    @functools.wraps(function)
    def run(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> None:
        log.configure(quiet=quiet or as_json)
        with ended_in_words(as_json=as_json), orderly_sigterm():
            with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
                result = function(*args, **kwargs)
            if result is not None:
                say(result, as_json=as_json)
        if result is not None and result.exit_code:
            sys.exit(result.exit_code)

    return run


def say(result: VerbResult, *, as_json: bool) -> None:
    """Print a result."""
    if as_json:
        from hepfm.cli.schema import to_json

        click.echo(to_json(result))
    else:
        for line in result.text():
            click.echo(line)


@contextlib.contextmanager
def ended_in_words(*, as_json: bool = False) -> Iterator[None]:
    """End the process with a short message and an exit code after a user's mistake or a stop in the block.

    With `as_json` a fault of hepfm is told in JSON as well, after its traceback on standard error.
    """
    try:
        yield
    except Exit:  # what click ends with after --help
        raise
    except (Exception, KeyboardInterrupt, Terminated) as error:
        failure = failure_of(error)
        if failure is None and as_json and not isinstance(error, OSError):
            traceback.print_exc()
            failure = fault(error)  # type: ignore[arg-type]  # the two others are known kinds
        if failure is None:
            raise
        _end(error, failure, as_json=as_json)


def as_values(failure: Failure) -> dict[str, Any]:
    """Return the JSON object that an error is told by."""
    return {"error": asdict(failure)}


def _end(error: BaseException, failure: Failure, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps(as_values(failure), indent=2))
    elif isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, KeyboardInterrupt):
        click.echo(f"\n{failure.message}", err=True)
    elif not isinstance(error, Terminated):  # which has been logged
        click.echo(f"error: {failure.message}", err=True)
    sys.exit(failure.exit_code)
