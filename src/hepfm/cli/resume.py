"""``hepfm resume``: go on with a run that was stopped."""

from __future__ import annotations

from typing import Any

import click

from hepfm.cli.advice import after_training
from hepfm.cli.common import verb


@click.command()
@click.argument("run", type=click.Path())
@verb
def command(run: str) -> dict[str, Any]:
    """Go on with RUN at the exact next batch."""
    from hepfm.train.resume import resume

    result = resume(run)
    return {
        "run": str(result.path),
        "model": str(result.model_path),
        "lines": [f"model: {result.model_path}"],
        "next": after_training(result.path),
    }
