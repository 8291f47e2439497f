"""Descriptions of the verbs as functions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from hepfm.cli.failures import kinds_of_errors
from hepfm.cli.options import Written
from hepfm.cli.schema import result_schema
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.tools.arguments import arguments_schema, parameters
from hepfm.tools.verbs import commands


@dataclass(frozen=True)
class Tool:
    """A verb as a function.

    Attributes
    ----------
    name
        What it is called by.
    description
        What it does, what it writes and what it costs, in words.
    parameters
        JSON Schema of its arguments.
    returns
        JSON Schema of what it returns.
    errors
        Kinds of errors; one is returned as ``{"error": {"type", "message", "exit_code"}}``.
    writes
        Arguments that name what it writes; empty for a verb that only reads.
    dry_run
        Whether it can say what it would do or cost, with the argument dry_run.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    returns: dict[str, Any]
    errors: list[str]
    writes: list[str]
    dry_run: bool


def describe(names: Sequence[str] = ()) -> list[Tool]:
    """Return the verbs as functions, all of them or those with a word of `names` in their name.

    Raises
    ------
    ConfigError
        For a word that is in no name.
    """
    known = commands()
    for name in names:
        if not any(name in one for one in known):
            raise ConfigError(f"no tool has {name!r} in its name{did_you_mean(name, known)}")
    return [
        _tool(name, command)
        for name, command in known.items()
        if not names or any(part in name for part in names)
    ]


def _tool(name: str, command: click.Command) -> Tool:
    found = parameters(command)
    writes = [key for key, one in found.items() if key == "output" or isinstance(one.type, Written)]
    dry_run = "dry_run" in found
    return Tool(
        name=name,
        description=_description(command, writes, dry_run=dry_run),
        parameters=arguments_schema(command),
        returns=result_schema(command),
        errors=[kind for kind, _ in kinds_of_errors()],
        writes=writes,
        dry_run=dry_run,
    )


def _description(command: click.Command, writes: Sequence[str], *, dry_run: bool) -> str:
    effect = f"Writes what {' and '.join(writes)} names." if writes else "Writes nothing."
    cost = " With dry_run it tells what it would do or cost, and writes nothing." if dry_run else ""
    return f"{inspect.cleandoc(command.help or '')}\n\n{effect}{cost}"
