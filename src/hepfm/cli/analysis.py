"""What the verbs of analyses share: their options, and what they return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepfm.cli.advice import workflow_command
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.options import workflow_options
from hepfm.cli.result import VerbResult, WorkflowEstimate

if TYPE_CHECKING:
    from hepfm.analyses.analysis import Analysis


@dataclass(frozen=True, kw_only=True)
class AnalysisDone(VerbResult):
    """An analysis that was worked through.

    Attributes
    ----------
    analysis
        Its directory.
    report
        The page; null while there is too little for one.
    files
        Paths of further files by what they are, such as ``weights``.
    runs
        Number of runs by how they ended.
    numbers
        The numbers of the page's main table.
    """

    analysis: str
    report: str | None
    files: dict[str, str]
    runs: dict[str, int]
    numbers: dict[str, Any]


def analysis_verb(kind: str, help: str, load: Callable[[], type[Analysis[Any]]]) -> click.Command:
    """Return the command of an analysis.

    Parameters
    ----------
    kind
        Its verb, which is the folder of its recipes.
    help
        What it does; ``RECIPE`` stands for the recipe.
    load
        Imports its class, when the verb is called.
    """

    @click.command(kind, help=help)
    @click.argument("recipe", shell_complete=complete_recipe(kind))
    @click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides(kind))
    @workflow_options("analysis", "analyses/RECIPE")
    @verb
    def command(
        recipe: str,
        overrides: tuple[str, ...],
        output: str | None,
        dry_run: bool,
        processes: int | None,
        cluster: str | None,
        report_only: bool,
    ) -> AnalysisDone | WorkflowEstimate:
        target = output or str(Path("analyses") / Path(recipe).stem)
        analysis = load().read(recipe, overrides)
        if dry_run:
            from hepfm.analyses.analysis import estimate

            cost = estimate(analysis, output=target, processes=processes)
            following = workflow_command(kind, recipe, overrides, output, processes, cluster)
            return WorkflowEstimate(**cost.to_dict(), lines=cost.lines(), next=following)
        return _done(analysis, target, processes, cluster, report_only)

    return command


def _done(
    analysis: Analysis[Any], target: str, processes: int | None, cluster: str | None, report_only: bool
) -> AnalysisDone:
    from hepfm.analyses.analysis import analyse
    from hepfm.core.interrupts import advising
    from hepfm.workflow.progress import counts

    with advising("what was complete is kept; the same command goes on"):
        result = analyse(
            analysis, output=target, processes=processes, cluster=cluster, report_only=report_only
        )
    return AnalysisDone(
        analysis=str(result.path),
        report=str(result.report) if result.report else None,
        files={name: str(path) for name, path in result.files.items()},
        runs=counts(result.states),
        numbers=dict(result.numbers),
        exit_code=result.exit_code,
        lines=result.lines(),
    )
