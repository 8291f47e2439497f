"""Options that several verbs have, and how their texts are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


class Written(click.Path):
    """A place that a verb writes to, where it is not called output, which always is."""


written = Written()


def set_option(owner: str) -> Callable[..., Any]:
    """Return the decorator that adds ``--set``, for options of `owner`."""
    text = f"An option of {owner}; may be repeated."
    return click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help=text)


def overwrite_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--overwrite``."""
    return click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")(function)


def split_options(*, required: bool = False) -> Callable[..., Any]:
    """Return the decorator that adds ``--split``, fractions as text, and ``--seed``."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        seed = click.option(
            "--seed", type=int, default=0, show_default=True, help="Seed of the random splits."
        )
        text = "Split at random, e.g. train=0.8,val=0.1,test=0.1; by group where rows belong together."
        split = click.option("--split", required=required, metavar="NAME=FRACTION,...", help=text)
        return split(seed(function))

    return add


def withhold_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--withhold``; its value is a list of names."""

    def read(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
        return [name.strip() for name in value.split(",") if name.strip()]

    return click.option(
        "--withhold",
        default="",
        metavar="GROUP,...",
        callback=read,
        help="Groups of features that MODEL reads as zero: identity, displacement.",
    )(function)


def device_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--device``."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where the network runs; auto takes CUDA where there is one.",
    )(function)


def read_options(texts: Sequence[str]) -> dict[str, Any]:
    """Return the options of ``key=value`` texts; values are read as YAML."""
    from hepfm.core.config import merge, parse_override

    values: dict[str, Any] = {}
    for text in texts:
        values = merge(values, parse_override(text))
    return values


def numbers_by_name(texts: Sequence[str]) -> dict[str, float]:
    """Return numbers by the names that they were given for; raise for what is no NAME=NUMBER."""
    pairs = [part.partition("=") for text in texts for part in text.split(",") if part.strip()]
    try:
        return {name.strip(): float(value) for name, _, value in pairs}
    except ValueError:
        given = ",".join(texts)
        raise click.BadParameter(f"write NAME=NUMBER,..., e.g. ttbar=832; got {given!r}") from None


def workflow_options(what: str, folder: str) -> Callable[..., Any]:
    """Add the options of verbs that work through many runs.

    Parameters
    ----------
    what
        What is worked through, e.g. ``study``.
    folder
        Its directory when none is given, for the help.
    """
    options = (
        click.option(
            "-o", "--output", type=click.Path(), help=f"Directory of the {what}; {folder} by default."
        ),
        click.option(
            "--dry-run", is_flag=True, help="Print all runs and their estimated cost; write nothing."
        ),
        click.option(
            "--processes", type=click.IntRange(min=1), help="Runs at once.  [default: all processors]"
        ),
        click.option(
            "--cluster",
            type=click.Choice(["slurm", "htcondor"]),
            help="Do the runs on workers that this batch system starts.",
        ),
        click.option("--report-only", is_flag=True, help="Do no run; write the report of what is finished."),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add
