"""The option ``--set key=value`` of verbs whose formats have options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

set_option = click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="An option of the format; may be repeated."
)


def read_options(texts: Sequence[str]) -> dict[str, Any]:
    """Return the options of ``key=value`` texts; values are read as YAML."""
    from hepfm.core.config import merge, parse_override

    values: dict[str, Any] = {}
    for text in texts:
        values = merge(values, parse_override(text))
    return values
