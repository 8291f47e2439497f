"""The verb ``study``: a grid of arms, sizes, budgets and seeds, run once each, compared in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core.log import logger
from hepfm.simulate.workers import processors
from hepfm.study.check import check_study
from hepfm.study.config import StudyConfig, read_study
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, make_plan
from hepfm.study.registration import register
from hepfm.study.replicate_stores import with_replicates
from hepfm.workflow.open_stores import open_stores
from hepfm.workflow.pool import make_pool
from hepfm.workflow.progress import counts, showing
from hepfm.workflow.schedule import State, work_through


@dataclass(frozen=True)
class StudyResult:
    """A study that was worked through.

    Attributes
    ----------
    path
        Its directory.
    report
        The page; None when no trial, and no training of a scaling law, has a result.
    states
        How each run ended.
    """

    path: Path
    report: Path | None
    states: Mapping[str, State]

    @property
    def complete(self) -> bool:
        """Whether every run is done."""
        return all(state == "done" for state in self.states.values())

    @property
    def exit_code(self) -> int:
        """0 when all runs are done, 1 when some are not."""
        return 0 if self.complete else 1


def study(
    study: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    cluster: str | None = None,
    report_only: bool = False,
) -> StudyResult:
    """Do every run of a study that is not done yet, and write its report.

    Parameters
    ----------
    study
        Name of a built-in study, path of a YAML file, or its values.
    output
        The study's directory. What is finished there is kept: a run is done once, whichever study file or
        call asked for it.
    overrides
        ``key=value`` settings laid over the study.
    processes
        Runs at the same time, one thread each; all processors of this process when not given. With a
        cluster: its workers.
    cluster
        Batch system whose workers do the runs, ``"slurm"`` or ``"htcondor"``; this machine when not given.
    report_only
        Do no run: report what is finished, also of a study that is at work.

    Raises
    ------
    ConfigError
        With everything in the study that cannot work, before anything runs.
    HepfmError
        When another study is at work in the directory.
    """
    from hepfm.study.study_report import write_report

    plan = prepare(study, overrides)
    folder = StudyFolder(Path(output))
    if report_only:
        states: Mapping[str, State] = {name: folder.status(name) for name in plan.runs}
        return StudyResult(folder.path, write_report(plan, folder, states), states)
    with folder.locked():
        _say_what_is_new(plan, folder)
        register(plan.config, folder, plan.runs)
        folder.write_study(plan.config.model_dump(mode="json"))
        slots = processes or processors()
        pool = make_pool(plan.runs.values(), folder, slots, cluster)
        with showing(plan.runs, folder, plan.config.description) as shown:
            states = work_through(plan.runs, folder, pool, shown)
        report = write_report(plan, folder, states)
    return StudyResult(folder.path, report, states)


def prepare(study: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Plan:
    """Read and check a study and return its plan; nothing is written."""
    config: StudyConfig = read_study(study, overrides)
    stores = open_stores(with_replicates(config.stores, config.seeds.replicates))
    plan = make_plan(config, stores)
    check_study(plan)
    return plan


def _say_what_is_new(plan: Plan, folder: StudyFolder) -> None:
    """Tell how much of the study is there already, and whether the study file is another one."""
    done = sum(folder.status(name) == "done" for name in plan.runs)
    foreign = folder.existing() - set(plan.runs)
    logger.info("%d runs, %d done already", len(plan.runs), done)
    last = folder.last_study()
    if last is not None and last != plan.config.model_dump(mode="json"):
        logger.info(
            "%s was last used for another study: %d of these runs are done, %d are new, %d are not of it",
            folder.path,
            done,
            len(plan.runs) - done,
            len(foreign),
        )


def summary_lines(result: StudyResult) -> list[str]:
    """Return how the study ended, for people."""
    shown = ", ".join(f"{count} {state}" for state, count in counts(result.states).items())
    lines = [f"runs: {shown}"]
    if not result.complete:
        lines.append("failed and missing runs are listed in the report with their diagnosis")
    return [*lines, f"report: {result.report}" if result.report else "no result to report"]
