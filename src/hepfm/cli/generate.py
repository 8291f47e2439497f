"""``hepfm generate``: new jets from a model with a generator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.options import device_option, read_options, set_option
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class Generated(VerbResult):
    """New rows of a model.

    Attributes
    ----------
    store
        The store that was made.
    """

    store: str


@click.command()
@click.argument("model", type=click.Path())
@click.option("-n", "number", type=int, help="Jets to make; as many as --like has by default.")
@click.option("-o", "--output", required=True, type=click.Path(), help="The store to make.")
@click.option("--classes", help="Classes to make evenly, g,q,t, or their shares, g=2,t=1; all by default.")
@click.option("--like", type=click.Path(), help="Store whose test rows give class and kinematics.")
@click.option("--steps", type=int, help="Steps of the solver; the model's own by default.")
@click.option("--solver", help="euler, heun, midpoint or adams_bashforth; the model's own by default.")
@click.option("--temperature", type=float, help="Of a draw of codes; the model's own by default.")
@click.option("--top-k", type=int, help="Draw among so many of the likeliest codes.")
@click.option("--top-p", type=float, help="Draw among the likeliest codes up to this probability.")
@click.option(
    "--cells", help="Put each hit of a shower into a cell of its own: dataset_2, dataset_3, a file."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--batch-size", type=int, help="Jets at once; changes speed and memory only.")
@device_option
@set_option("a generator that none of these name")
@verb
def command(
    model: str,
    number: int | None,
    output: str,
    classes: str | None,
    like: str | None,
    steps: int | None,
    solver: str | None,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    cells: str | None,
    seed: int,
    batch_size: int | None,
    device: str,
    options: tuple[str, ...],
) -> Generated:
    """Make jets with MODEL and write them to a store."""
    from hepfm.inference.generate import generate

    named: dict[str, Any] = {
        "n": number,
        "output": output,
        "classes": read_classes(classes),
        "like": like,
        "steps": steps,
        "solver": solver,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "cells": cells,
        "seed": seed,
        "batch_size": batch_size,
        "device": device,
    }
    path = generate(model, **named, **read_others(options, named))
    return Generated(store=str(path), lines=[f"store: {path}"], next=command_line("data", "info", path))


def read_others(texts: Sequence[str], named: Collection[str]) -> dict[str, Any]:
    """Read the options of ``--set``; raise `ConfigError` for one that the command line has by name."""
    from hepfm.core.errors import ConfigError

    others = read_options(texts)
    for name in others:
        if name in ("model", *named):
            raise ConfigError(f"--set {name}: the command line has that by name, see hepfm generate --help")
    return others


def read_classes(text: str | None) -> dict[str, float] | None:
    """Read ``g,q`` or ``g=2,q=1`` into shares by class.

    >>> read_classes("g=2,q")
    {'g': 2.0, 'q': 1.0}
    """
    from hepfm.core.errors import ConfigError

    if text is None:
        return None
    shares = {}
    for part in text.split(","):
        name, equals, share = part.partition("=")
        try:
            shares[name.strip()] = float(share) if equals else 1.0
        except ValueError:
            raise ConfigError(f"--classes: cannot read {part!r}; write CLASS or CLASS=SHARE") from None
    return shares
