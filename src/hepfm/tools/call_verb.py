"""``hepfm call``: a verb by its name as a function and its arguments as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from hepfm.cli.common import verb
from hepfm.cli.result import VerbResult


@click.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@click.option(
    "--root", type=click.Path(), help="Folder to work in, made if needed; nothing outside it is written."
)
@verb
def command(name: str, arguments: str, root: str | None) -> VerbResult | None:
    """Call the function NAME of `hepfm tools` with ARGUMENTS, a JSON object, or - for one on standard input.

    With --json it prints what the verb prints with --json.
    """
    from hepfm.tools.calling import run

    text = sys.stdin.read() if arguments == "-" else arguments
    return run(name, read_arguments(text), root=root)


def read_arguments(text: str) -> dict[str, Any]:
    """Read a JSON object; raise `ConfigError` for anything else."""
    from hepfm.core.errors import ConfigError

    try:
        values = json.loads(text)
    except ValueError as problem:
        raise ConfigError(f"the arguments are not JSON: {problem}; got {text[:100]!r}") from None
    if not isinstance(values, dict):
        raise ConfigError(f'the arguments are no JSON object such as {{"kind": "task"}}; got {text[:100]!r}')
    return values
