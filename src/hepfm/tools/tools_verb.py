"""``hepfm tools``: the verbs as described functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from hepfm.cli.common import verb
from hepfm.cli.result import VerbResult
from hepfm.tools.forms import FORMS


@dataclass(frozen=True, kw_only=True)
class ToolList(VerbResult):
    """The verbs as functions.

    Attributes
    ----------
    tools
        A description of each, in the form that was asked for.
    errors
        Meaning of the kinds of errors.
    error_schema
        JSON Schema of the value of the key error, which an error has in place of a result.
    """

    tools: list[dict[str, Any]]
    errors: dict[str, str]
    error_schema: dict[str, Any]

    def text(self) -> Iterator[str]:
        """Yield the descriptions as JSON."""
        yield json.dumps(self.tools, indent=2)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMS)),
    default="plain",
    show_default=True,
    help="plain: everything. The others have name, description and arguments as interfaces expect them.",
)
@verb
def command(names: tuple[str, ...], form: str) -> ToolList:
    """Print the verbs as functions that a language model can call, all or those with a NAME in theirs.

    Each has a name, a description, JSON Schemas of its arguments and its result, kinds of errors, and what it
    writes. `hepfm call` calls them.
    """
    from hepfm.cli.failures import kinds_of_errors
    from hepfm.cli.result import Failure
    from hepfm.cli.schema import schema_of
    from hepfm.tools.descriptions import describe

    tools = [FORMS[form](tool) for tool in describe(names)]
    return ToolList(tools=tools, errors=dict(kinds_of_errors()), error_schema=schema_of(Failure))
