"""Runs on a Dask cluster: on this machine, or workers that a batch system starts."""

from __future__ import annotations

import importlib
import os
from typing import Any

from hepfm.core.errors import ConfigError, did_you_mean, missing_extra
from hepfm.study.config import Values
from hepfm.study.execute import KEEP_MEMORY, ONE_THREAD, WAIT
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Run
from hepfm.study.work import execute, one_thread

CLUSTERS = ("local", "slurm", "htcondor")

MEMORY = "4GB"
"""Memory of a worker, unless the Dask configuration says otherwise."""


def make_cluster(kind: str, workers: int) -> Any:
    """Start a Dask cluster of workers with one thread each.

    Queue, project, walltime, memory and further directives of a batch system are set in the configuration of
    Dask-jobqueue (``~/.config/dask/jobqueue.yaml``), as everywhere. The study's directory and the stores must
    be on a file system that all workers share.

    Raises
    ------
    ConfigError
        For another kind.
    MissingExtraError
        Without the extra ``cluster``.
    """
    if kind not in CLUSTERS:
        raise ConfigError(f"unknown cluster {kind!r}{did_you_mean(kind, CLUSTERS)}")
    if kind == "local":
        return _local(workers)
    cluster = batch_cluster(kind)
    cluster.scale(jobs=workers)
    return cluster


def _local(workers: int) -> Any:
    return _library("distributed").LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
    )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise missing_extra(name, "cluster") from None


def batch_cluster(kind: str) -> Any:
    """Return a cluster of a batch system that has no workers yet; its ``job_script()`` can be looked at."""
    jobqueue = _library("dask_jobqueue")
    given = _library("dask").config.get(f"jobqueue.{kind}", {})
    exports = [f"export {name}={value}" for name, value in {**ONE_THREAD, **KEEP_MEMORY}.items()]
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": given.get("memory") or MEMORY,
        "job_script_prologue": [*(given.get("job-script-prologue") or []), *exports],
    }
    if kind == "htcondor":
        return jobqueue.HTCondorCluster(**options, disk=given.get("disk") or "1GB")
    return jobqueue.SLURMCluster(**options)


class DaskPool:
    """Runs as tasks of a Dask cluster, the same function as in local processes."""

    def __init__(self, folder: StudyFolder, cluster: Any, slots: int) -> None:
        self.folder, self.slots = StudyFolder(folder.path.resolve()), slots
        self.cluster = cluster
        self.client = _library("distributed").Client(cluster)
        self.running: dict[str, Any] = {}

    def start(self, run: Run, *, processes: int) -> None:
        """Begin a run on a worker; a simulation has that worker's one core."""
        self.running[run.name] = self.client.submit(
            work, str(self.folder.path), run.to_dict(), key=f"{run.name}-{os.getpid()}", pure=False
        )

    def wait(self) -> list[str]:
        """Return the names of runs that ended; one whose worker died is marked as failed."""
        try:
            _library("distributed").wait(
                list(self.running.values()), timeout=WAIT, return_when="FIRST_COMPLETED"
            )
        except TimeoutError:
            return []
        ended = [name for name, future in self.running.items() if future.done()]
        for name in ended:
            future, own = self.running.pop(name), self.folder.run(name)
            if own.facts() is None and own.failure() is None:
                own.fail(kind="Worker", message=f"the worker died: {future.exception()!r}")
        return ended

    def close(self) -> None:
        """Stop the workers."""
        self.client.close()
        self.cluster.close()


def work(folder: str, run: Values) -> str:
    """Do one run on a worker."""
    from pathlib import Path

    one_thread()
    return execute(StudyFolder(Path(folder)), Run.from_dict(run))
