"""Dask workers that a batch system starts."""

from __future__ import annotations

import importlib
import shutil
from typing import Any

import dask
from distributed.core import Status

from hepfm.core.errors import ConfigError, HepfmError, did_you_mean, missing_extra
from hepfm.workflow.child import KEEP_MEMORY, ONE_THREAD
from hepfm.workflow.dask_pool import CORES, GPUS
from hepfm.workflow.verbs.base import Needs

SUBMIT = {"slurm": "sbatch", "htcondor": "condor_submit"}
"""Batch system -> its command that submits a job."""

MEMORY = "4GB"
"""Memory of a worker, unless the Dask configuration says otherwise."""

_CHILDREN_ALLOWED = {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
"""Each run is a process of its own, and Python forbids daemons to have children."""


def batch_cluster(kind: str, workers: int, needs: Needs) -> Any:
    """Start workers through a batch system, each with the cores and GPUs that a run needs at most.

    Queue, project, walltime, memory and further directives are set in the configuration of Dask-jobqueue
    (``~/.config/dask/jobqueue.yaml``), as everywhere. The workspace and the stores must be on a file system
    that all workers share.

    Raises
    ------
    ConfigError
        For another kind, or where the batch system's command is missing.
    HepfmError
        When the batch system refuses a job.
    MissingExtraError
        Without the extra ``cluster``.
    """
    if kind not in SUBMIT:
        raise ConfigError(f"unknown cluster {kind!r}{did_you_mean(kind, SUBMIT)}")
    if shutil.which(SUBMIT[kind]) is None:
        raise ConfigError(
            f"--cluster {kind} submits jobs with the command {SUBMIT[kind]!r}, which is not on the PATH of "
            "this machine; start the study where jobs are submitted, or leave --cluster out"
        )
    cluster = empty_cluster(kind, needs)
    try:
        cluster.sync(_submit, cluster, workers)
    except (OSError, RuntimeError) as error:
        cluster.close()
        raise HepfmError(
            f"{SUBMIT[kind]} refused a job: {error}\nCorrect queue, project, walltime and memory in the "
            f"section jobqueue.{kind} of ~/.config/dask/jobqueue.yaml"
        ) from error
    return cluster


async def _submit(cluster: Any, workers: int) -> None:
    """Submit the jobs; unlike Dask's `scale`, which logs that one was refused and waits, this raises."""
    while len(cluster.worker_spec) < workers:
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        await cluster._correct_state()
    except (OSError, RuntimeError):
        for job in cluster._created:
            if job.status == Status.created:  # never submitted; closing the cluster counts on this
                job.status = Status.failed
        raise


def empty_cluster(kind: str, needs: Needs) -> Any:
    """Return a cluster without workers; its ``job_script()`` can be looked at."""
    jobqueue = _jobqueue()
    given = dask.config.get(f"jobqueue.{kind}", {})
    variables = {**ONE_THREAD, **KEEP_MEMORY, **_CHILDREN_ALLOWED}
    exports = [f"export {name}={value}" for name, value in variables.items()]
    offered = f"{CORES}={needs.cores},{GPUS}={needs.gpus}"
    options: dict[str, Any] = {
        "cores": needs.cores,
        "processes": 1,
        "memory": given.get("memory") or MEMORY,
        "job_script_prologue": [*(given.get("job-script-prologue") or []), *exports],
        "worker_extra_args": [*(given.get("worker-extra-args") or []), f"--resources {offered}"],
    }
    if kind == "htcondor":
        extra = {**(given.get("job-extra-directives") or {})}
        if needs.gpus:
            extra["request_gpus"] = str(needs.gpus)
        disk = given.get("disk") or "1GB"
        return jobqueue.HTCondorCluster(**options, disk=disk, job_extra_directives=extra)
    directives = [*(given.get("job-extra-directives") or [])]
    if needs.gpus:
        directives.append(f"--gpus={needs.gpus}")
    return jobqueue.SLURMCluster(**options, job_extra_directives=directives)


def _jobqueue() -> Any:
    try:
        return importlib.import_module("dask_jobqueue")
    except ModuleNotFoundError:
        raise missing_extra("dask_jobqueue", "cluster") from None
