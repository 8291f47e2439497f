"""``hepfm convert``: another package's checkpoint into a model directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_component
from hepfm.cli.result import CopiedModel


@dataclass(frozen=True, kw_only=True)
class Converted(CopiedModel):
    """A model directory that was made of another package's checkpoint.

    Attributes
    ----------
    parameters
        Number of weights.
    note
        What is not as it was there; null where there is nothing.
    """

    parameters: int
    note: str | None


@click.command()
@click.argument("package", shell_complete=complete_component("converter"))
@click.argument("checkpoint", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="Model directory to write.")
@click.option(
    "--classes",
    default="",
    help="Class names in the order of the outputs, A,B,C; left out: weaver's labels, else numbers.",
)
@click.option("--tokenizer", type=click.Path(), help="Converted VQ-VAE, for a backbone of omnijet_alpha.")
@click.option("--data", type=click.Path(), help="Preprocessing file (YAML) of weaver: always needed there.")
@click.option("--network", type=click.Path(), help="Network file (.py) of weaver; parsed, never executed.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of weaver's or EveNet's network; repeatable.",
)
@click.option(
    "--branch",
    "branches",
    multiple=True,
    metavar="NAME=EXPRESSION",
    help="What a branch of weaver's file is, in fields of a store; those of JetClass are known. Repeatable.",
)
@verb
def command(package: str, checkpoint: str, output: str, classes: str, **others: Any) -> Converted:
    """Read CHECKPOINT of PACKAGE without running code in it, and write a model directory.

    PACKAGE is weaver, omnilearned, evenet or omnijet_alpha.
    """
    from hepfm.models.convert import convert

    names = [name.strip() for name in classes.split(",") if name.strip()]
    model = convert(package, checkpoint=checkpoint, output=output, classes=names, **others)
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    line = f"{output}: {model.backbone.name}, {parameters:,} parameters, feature set {model.features.name}"
    note = model.provenance["converted_from"].get("note")
    lines = [line, f"note: {note}"] if note else [line]
    return Converted(
        model=output,
        parameters=parameters,
        note=note,
        lines=lines,
        next=command_line("check", output),
    )
