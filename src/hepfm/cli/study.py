"""``hepfm study``: arms, sizes, label budgets and seeds, compared in one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import workflow_command
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.options import workflow_options
from hepfm.cli.result import StudyDone, WorkflowEstimate


@dataclass(frozen=True, kw_only=True)
class StudyEstimate(WorkflowEstimate):
    """What a study would cost; nothing was written.

    Attributes
    ----------
    trials
        Number of trials.
    """

    trials: int


@click.command()
@click.argument("study", shell_complete=complete_recipe("study"))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("study"))
@workflow_options("study", "studies/STUDY")
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
            next=workflow_command("study", study, overrides, output, processes, cluster),
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
