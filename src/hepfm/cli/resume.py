"""``hepfm resume``: go on with a run that was stopped."""

from __future__ import annotations

import click

from hepfm.cli.common import verb
from hepfm.cli.options import written
from hepfm.cli.result import TrainedModel
from hepfm.cli.trained import trained


@click.command()
@click.argument("run", type=written)
@verb
def command(run: str) -> TrainedModel:
    """Go on with RUN at the exact next batch."""
    from hepfm.train.resume import resume

    return trained(resume(run))
