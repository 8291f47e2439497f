"""Where the runs of a workflow are done: this machine's cores, or workers of a batch system."""

from __future__ import annotations

from collections.abc import Iterable

from hepfm.core.errors import ConfigError
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import Pool, needs_of
from hepfm.workflow.verbs.base import Needs


def make_pool(runs: Iterable[Run], workspace: Workspace, slots: int, cluster: str | None) -> Pool:
    """Return where runs are done: on so many cores, or by as many workers of a batch system."""
    from hepfm.workflow.dask_pool import DaskPool, local_cluster

    if slots < 1:
        raise ConfigError(f"processes must be at least 1, got {slots}")
    if cluster is None:
        return DaskPool(workspace, local_cluster(slots), cores=slots)
    from hepfm.workflow.cluster import batch_cluster

    needs = most_needed(runs)
    workers = batch_cluster(cluster, slots, needs)
    return DaskPool(workspace, workers, cores=slots * needs.cores, cores_per_worker=needs.cores)


def most_needed(runs: Iterable[Run]) -> Needs:
    """Return the cores and GPUs with which a worker can do any of the runs."""
    needs = [needs_of(run, 1) for run in runs]
    return Needs(max(need.cores for need in needs), max(need.gpus for need in needs))
