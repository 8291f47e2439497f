"""Call a verb by its name and an object of arguments, in this process; what it says is a value."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Mapping
from inspect import unwrap
from pathlib import Path
from typing import Any

from hepfm.cli.common import as_values
from hepfm.cli.failures import failure_of, fault
from hepfm.cli.result import VerbResult
from hepfm.cli.schema import to_json
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.writable import confined
from hepfm.tools.arguments import words
from hepfm.tools.verbs import commands


def call(
    name: str, arguments: Mapping[str, Any] | None = None, *, root: str | Path | None = None
) -> dict[str, Any]:
    """Call a verb and return its result as JSON-ready values, or ``{"error": ...}``; nothing is raised.

    Only a stop by Ctrl-C or SIGTERM passes through: it is meant for the caller.

    Parameters
    ----------
    name
        Name of the function, e.g. ``"hepfm_data_info"``; see `hepfm.tools.descriptions`.
    arguments
        Arguments by name.
    root
        Folder to work in, outside of which nothing is written; see `hepfm.core.writable`.

    Returns
    -------
    dict
        What ``--json`` prints.
    """
    try:
        result = run(name, arguments or {}, root=root)
        return {} if result is None else json.loads(to_json(result))
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            traceback.print_exc()
            failure = fault(error)
        return as_values(failure)


def run(name: str, arguments: Mapping[str, Any], *, root: str | Path | None = None) -> VerbResult | None:
    """Call a verb and return its result; what goes wrong is raised.

    Raises
    ------
    HepfmError, click.ClickException
        For a mistake in name or arguments, and whatever the verb raises.
    """
    known = commands()
    if name not in known:
        raise ConfigError(f"there is no tool {name!r}{did_you_mean(name, known)}")
    command = known[name]
    context = command.make_context(name, words(name, command, arguments))
    function = unwrap(command.callback) if command.callback else None
    assert function is not None
    given = {key: value for key, value in context.params.items() if key not in ("as_json", "quiet")}
    with (
        contextlib.nullcontext() if root is None else confined(root),
        contextlib.redirect_stdout(sys.stderr),
        context,
    ):
        result: VerbResult | None = context.invoke(function, **given)
    return result
