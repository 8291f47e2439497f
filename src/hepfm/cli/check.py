"""``hepfm check``: verify a model directory."""

from __future__ import annotations

from typing import Any

import click

from hepfm.cli.common import verb


@click.command()
@click.argument("model", type=click.Path())
@verb
def command(model: str) -> dict[str, Any]:
    """Verify the files of MODEL and rerun its fixture."""
    from hepfm.models.check import check

    differences = check(model)
    lines = [f"{name}: differs by {value:.1e} of its largest value" for name, value in differences.items()]
    return {"differences": differences, "lines": [*lines, "the model is as it was saved"]}
