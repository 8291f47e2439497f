"""The verbs by the names that they have as functions: ``hepfm_simulate``, ``hepfm_data_info``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from hepfm.cli.main import VERBS, group

PREFIX = "hepfm"


def commands() -> dict[str, click.Command]:
    """Return the commands of all verbs by name, without those that describe and call the others."""
    context = click.Context(group)
    return {
        name: command
        for verb, (module, _) in VERBS.items()
        if not module.startswith("hepfm.tools.")
        for name, command in _leaves(f"{PREFIX}_{verb}", group.get_command(context, verb))
    }


def _leaves(name: str, command: click.Command | None) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for word, below in sorted(command.commands.items()):
            yield from _leaves(f"{name}_{word}", below)
    elif command is not None:
        yield name.replace("-", "_"), command
