"""Runs as tasks of Dask: Dask decides where and when, a process of its own does each run."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import distributed

from hepfm.core.interrupts import TERMINATED
from hepfm.workflow.child import in_child, start_server
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Needs

_distributed: Any = distributed
"""Its classes are not annotated."""

WAIT = 1.0
"""Seconds after which `DaskPool.wait` returns without news, so that the display is refreshed."""

GRACE = 30.0
"""Seconds within which a worker is stopped when its run was: batch systems send SIGTERM to a whole group, and
it reaches the process of the run first."""

CORES, GPUS = "cores", "gpus"
"""Names of the resources that workers offer and runs occupy."""


class Children(distributed.WorkerPlugin):
    """Plugin of a worker: the processes of its runs, which end with it."""

    name = "hepfm-children"

    def setup(self, worker: Any) -> None:
        """Begin with none."""
        self.running: set[BaseProcess] = set()
        self.stopped = threading.Event()

    def teardown(self, worker: Any) -> None:
        """Stop all runs; what they had saved is kept."""
        self.stopped.set()
        for process in list(self.running):
            process.terminate()

    def call(self, arguments: tuple[Any, ...]) -> int | None:
        """Do one run in a process and return its exit code; None when the worker was stopped meanwhile."""
        process = start_server().Process(target=in_child, args=arguments)
        process.start()
        self.running.add(process)
        if self.stopped.is_set():
            process.terminate()
        process.join()
        self.running.discard(process)
        if process.exitcode in (-signal.SIGTERM, TERMINATED):
            self.stopped.wait(GRACE)
        return None if self.stopped.is_set() else process.exitcode


def do_run(path: str, values: Values, cores: int) -> None:
    """Do one run on the worker that this is called on; mark one whose process left no mark."""
    children: Any = distributed.get_worker().plugins[Children.name]
    exitcode = children.call((path, values, cores))
    folder = Workspace(Path(path)).run(Run.from_dict(values).name)
    if exitcode is not None and folder.facts() is None and folder.failure() is None:
        folder.fail(kind="Killed", message=_died(exitcode))


def _died(exitcode: int) -> str:
    if exitcode == -9:
        return "the process was killed (signal 9), as systems do when memory runs out; use fewer --processes"
    return f"the process ended with exit code {exitcode} and no message; see log.txt"


class DaskPool:
    """Where runs are done: the workers of a Dask cluster.

    Parameters
    ----------
    workspace
        Where the runs lie; workers on other machines must see the same folder.
    cluster
        The cluster; `close` stops it.
    cores
        All cores of its workers together.
    cores_per_worker
        Cores that one run can occupy.
    """

    def __init__(
        self, workspace: Workspace, cluster: Any, *, cores: int, cores_per_worker: int | None = None
    ) -> None:
        self.workspace = Workspace(workspace.path.resolve())
        self.cores, self.cores_per_worker = cores, cores_per_worker or cores
        self.cluster = cluster
        self.client: Any = _distributed.Client(cluster)
        self.client.register_plugin(Children())
        self.running: dict[str, Any] = {}
        self._keys = itertools.count()

    def start(self, run: Run, needs: Needs) -> None:
        """Hand a run to Dask."""
        resources = {CORES: needs.cores, **({GPUS: needs.gpus} if needs.gpus else {})}
        self.running[run.name] = self.client.submit(
            do_run,
            str(self.workspace.path),
            run.to_dict(),
            needs.cores,
            key=f"{run.name}-{os.getpid()}-{next(self._keys)}",
            pure=False,
            resources=resources,
        )

    def wait(self) -> list[str]:
        """Return the names of runs that ended; one whose worker died is marked as failed."""
        with contextlib.suppress(TimeoutError):
            _distributed.wait(list(self.running.values()), timeout=WAIT, return_when="FIRST_COMPLETED")
        ended = [name for name, future in self.running.items() if future.done()]
        for name in ended:
            future, folder = self.running.pop(name), self.workspace.run(name)
            if folder.facts() is None and folder.failure() is None:
                folder.fail(kind="Worker", message=f"the worker died: {future.exception()!r}")
        return ended

    def close(self) -> None:
        """Stop all runs and workers; what runs had saved is kept."""
        self.running.clear()
        self.client.close()
        self.cluster.close()


def local_cluster(cores: int) -> Any:
    """Return a cluster of one worker inside this process, which imports no torch and offers `cores`."""
    return _distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=cores,
        processes=False,
        dashboard_address="127.0.0.1:0",
        resources={CORES: cores, GPUS: cores},
        memory_limit=0,
    )
