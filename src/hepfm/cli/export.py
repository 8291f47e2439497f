"""``hepfm export``: a model for other programs."""

from __future__ import annotations

from typing import Any

import click

from hepfm.cli.common import verb
from hepfm.cli.options import overwrite_option


@click.command()
@click.argument("model", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="FILE.onnx")
@overwrite_option
@click.option("--format", "_format", type=click.Choice(["onnx"]), default="onnx", help="The only one so far.")
@verb
def command(model: str, output: str, overwrite: bool, _format: str) -> dict[str, Any]:
    """Export MODEL to ONNX and compare it with torch on two batches."""
    from hepfm.models.export import export

    differences = export(model, output=output, overwrite=overwrite)
    lines = [f"{name}: differs from torch by at most {value:.1e}" for name, value in differences.items()]
    return {"output": output, "differences": differences, "lines": lines}
