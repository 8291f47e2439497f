"""``hepfm demo``: the whole way on simulated jets."""

from __future__ import annotations

import click

from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides
from hepfm.cli.result import StudyDone
from hepfm.cli.study import run_study


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("study"))
@click.option("-o", "--output", default="demo", show_default=True, help="Directory for everything.")
@click.option("--processes", type=click.IntRange(min=1), help="Runs at once.  [default: all processors]")
@verb
def command(overrides: tuple[str, ...], output: str, processes: int | None) -> StudyDone:
    """Simulate, pre-train, fine-tune from few labels with and without pre-training, report.

    This is `hepfm study demo`. A second call goes on where the first was stopped. Settings of the study (see
    `hepfm show study demo`) follow, as downstream.top_tagging.budgets=[100,1000] or seeds.replicates=[1,2].
    """
    return run_study("demo", output=output, overrides=overrides, processes=processes)
