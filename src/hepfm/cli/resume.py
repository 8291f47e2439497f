"""``hepfm resume``: go on with a run that was stopped."""

from __future__ import annotations

import click

from hepfm.cli.advice import after_training
from hepfm.cli.common import verb
from hepfm.cli.options import written
from hepfm.cli.result import TrainedModel


@click.command()
@click.argument("run", type=written)
@verb
def command(run: str) -> TrainedModel:
    """Go on with RUN at the exact next batch."""
    from hepfm.train.resume import resume

    result = resume(run)
    return TrainedModel(
        run=str(result.path),
        model=str(result.model_path),
        lines=[f"model: {result.model_path}"],
        next=after_training(result.path),
    )
