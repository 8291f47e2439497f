"""``hepfm anomaly``: searches for a resonance without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.result import Result


@dataclass(frozen=True, kw_only=True)
class SearchesDone(Result):
    """Searches for anomalies that were worked through.

    Attributes
    ----------
    analysis
        The directory.
    report
        The page; null while there is too little for one.
    runs
        Number of runs by how they ended.
    numbers
        By method and number of signal events: quantiles 0.16, 0.5 and 0.84 of the largest significance
        improvement over draws and trainings; without signal the numbers of draws with p < 0.05 and of all,
        for each cut.
    """

    analysis: str
    report: str | None
    runs: dict[str, int]
    numbers: dict[str, object]


@click.command()
@click.argument("recipe", shell_complete=complete_recipe("anomaly"))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("anomaly"))
@click.option("-o", "--output", type=click.Path(), help="Directory; analyses/RECIPE by default.")
@click.option("--processes", type=click.IntRange(min=1), help="Runs at once.  [default: all processors]")
@click.option(
    "--cluster",
    type=click.Choice(["slurm", "htcondor"]),
    help="Do the runs on workers that this batch system starts.",
)
@click.option("--report-only", is_flag=True, help="Do no run; write the page of what is finished.")
@verb
def command(
    recipe: str,
    overrides: tuple[str, ...],
    output: str | None,
    processes: int | None,
    cluster: str | None,
    report_only: bool,
) -> SearchesDone:
    """Do every search of RECIPE, a built-in one (`hepfm list recipes`) or a YAML file, and write its page.

    A finished search is never repeated: the same call goes on with what was stopped. Exit code: 0 when all
    are done, 1 when some failed, 2 for a mistake in what was asked.
    """
    from hepfm.analyses.anomaly import anomaly
    from hepfm.core.interrupts import advising
    from hepfm.workflow.progress import counts

    with advising("what was complete is kept; the same command goes on"):
        result = anomaly(
            recipe,
            output=output or str(Path("analyses") / Path(recipe).stem),
            overrides=overrides,
            processes=processes,
            cluster=cluster,
            report_only=report_only,
        )
    return SearchesDone(
        analysis=str(result.path),
        report=str(result.report) if result.report else None,
        runs=counts(result.states),
        numbers=dict(result.numbers),
        exit_code=result.exit_code,
        lines=result.lines(),
    )
