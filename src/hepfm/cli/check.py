"""``hepfm check``: verify a model directory."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hepfm.cli.common import verb
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class Checked(VerbResult):
    """A model that computes what it computed where it was saved.

    Attributes
    ----------
    differences
        Largest difference of each kind of output, relative to its largest value.
    """

    differences: dict[str, float]


@click.command()
@click.argument("model", type=click.Path())
@verb
def command(model: str) -> Checked:
    """Verify the files of MODEL and rerun its fixture."""
    from hepfm.models.check import check

    differences = check(model)
    lines = [f"{name}: differs by {value:.1e} of its largest value" for name, value in differences.items()]
    return Checked(differences=differences, lines=[*lines, "the model is as it was saved"])
