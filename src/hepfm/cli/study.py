"""``hepfm study``: arms, sizes, label budgets and seeds, compared in one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.result import StudyDone, VerbResult

if TYPE_CHECKING:
    from hepfm.workflow.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class StudyEstimate(VerbResult):
    """What a study would cost; nothing was written.

    Attributes
    ----------
    trials
        Number of trials.
    core_hours
        Hours on one core of all runs that are not done, as far as it is known.
    hours
        Hours on the cores that are used at once.
    unknown_runs
        Number of runs of which nothing is known.
    memory_bytes
        Peak bytes of all runs at once.
    estimates
        All runs, by verb and kind.
    """

    trials: int
    core_hours: float
    hours: float
    unknown_runs: int
    memory_bytes: int
    estimates: list[Estimate]


@click.command()
@click.argument("study", shell_complete=complete_recipe("study"))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("study"))
@click.option("-o", "--output", type=click.Path(), help="Directory of the study; studies/STUDY by default.")
@click.option("--dry-run", is_flag=True, help="Print all runs and their estimated cost; write nothing.")
@click.option("--processes", type=click.IntRange(min=1), help="Runs at once.  [default: all processors]")
@click.option(
    "--cluster",
    type=click.Choice(["slurm", "htcondor"]),
    help="Do the runs on workers that this batch system starts.",
)
@click.option("--report-only", is_flag=True, help="Do no run; write the report of what is finished.")
@verb
def command(
    study: str,
    overrides: tuple[str, ...],
    output: str | None,
    dry_run: bool,
    processes: int | None,
    cluster: str | None,
    report_only: bool,
) -> StudyDone | StudyEstimate:
    """Do every run of STUDY, a built-in one (`hepfm list recipes`) or a YAML file, and write its report.

    A finished run is never repeated: the same call goes on with a study that was stopped. Exit code: 0 when
    all runs are done, 1 when some failed, 2 for a mistake in what was asked.
    """
    target = output or str(Path("studies") / Path(study).stem)
    if dry_run:
        from hepfm.study.cost import estimate

        cost = estimate(study, output=target, overrides=overrides, processes=processes)
        return StudyEstimate(
            **cost.to_dict(),
            lines=cost.lines(),
            next=_in_earnest(study, overrides, output, processes, cluster),
        )
    return run_study(
        study,
        output=target,
        overrides=overrides,
        processes=processes,
        cluster=cluster,
        report_only=report_only,
    )


def run_study(study: str, **options: Any) -> StudyDone:
    """Do a study and return what a verb returns; `options` are those of `hepfm.study`."""
    from hepfm.core.interrupts import advising
    from hepfm.study import study as module
    from hepfm.workflow.progress import counts

    with advising("what was complete is kept; the same command goes on"):
        result = module.study(study, **options)
    report = str(result.report) if result.report else None
    return StudyDone(
        study=str(result.path),
        report=report,
        runs=counts(result.states),
        exit_code=result.exit_code,
        lines=module.summary_lines(result),
    )


def _in_earnest(
    study: str, overrides: tuple[str, ...], output: str | None, processes: int | None, cluster: str | None
) -> str:
    """Return the command of a dry run without ``--dry-run``."""
    options = {"-o": output, "--processes": processes, "--cluster": cluster}
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    return command_line("study", study, *overrides, *given)
