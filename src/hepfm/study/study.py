"""The verb ``study``: a grid of arms, sizes, budgets and seeds, run once each, compared in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hepfm.core.errors import ConfigError
from hepfm.core.log import logger
from hepfm.simulate.workers import processors
from hepfm.study.board import board, counts
from hepfm.study.check import check_study, resolver
from hepfm.study.config import StudyConfig, read_study
from hepfm.study.execute import LocalPool, Pool, State, work_through
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, make_plan
from hepfm.study.registration import register
from hepfm.study.stores import open_stores

Cluster = Literal["local", "slurm", "htcondor"]


@dataclass(frozen=True)
class StudyResult:
    """A study that was worked through.

    Attributes
    ----------
    path
        Its directory.
    report
        The page; None when no trial has a result.
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


def study(
    study: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    cluster: str | None = None,
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
        Where the runs are done: None for processes of this machine; ``"local"``, ``"slurm"`` or
        ``"htcondor"`` for Dask.

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
    with folder.locked():
        _say_what_is_new(plan, folder)
        register(plan.config, folder)
        folder.write_study(plan.config.model_dump(mode="json"))
        slots = processes or processors()
        with board(plan, folder, slots) as shown:
            states = work_through(plan, folder, _pool(folder, slots, cluster), shown)
        report = write_report(plan, folder, states)
    return StudyResult(folder.path, report, states)


def prepare(study: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Plan:
    """Read and check a study and return its plan; nothing is written."""
    config: StudyConfig = read_study(study, overrides)
    stores = open_stores(config)
    check_study(config, stores)
    return make_plan(config, stores, resolver())


def _pool(folder: StudyFolder, slots: int, cluster: str | None) -> Pool:
    if slots < 1:
        raise ConfigError(f"processes must be at least 1, got {slots}")
    if cluster is None:
        return LocalPool(folder, slots)
    from hepfm.study.cluster import DaskPool, make_cluster

    return DaskPool(folder, make_cluster(cluster, slots), slots)


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
