"""One run from its parents' folders to its own, in a process of its own; the same on every machine.

A run has a fresh process so that all its memory is given back, and so that one that is killed (out of memory)
takes no other run with it. The processes are forked from a server that has imported torch and done nothing
else, which saves the seconds of that import in every run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import hepfm
from hepfm.core.errors import DivergedError, HepfmError
from hepfm.core.log import configure
from hepfm.core.provenance import code_commit
from hepfm.workflow import ignore_interrupts
from hepfm.workflow.folder import LOG, Workspace, run_lock
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs import VERBS

_MAX_RSS = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of the system's largest resident size."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
"""Settings of the processes: large blocks are kept between steps, which saves page faults."""

PRELOAD = (
    # First: an interrupt while the others are imported would end the server.
    ignore_interrupts.__name__,
    "torch._dynamo",
    "hepfm.train.finetune",
    "hepfm.train.pretrain",
    "hepfm.tasks.evaluate",
    "hepfm.tasks.model_subject",
    "hepfm.metrics.auc",
    "hepfm.objectives.supervised",
    "hepfm.backbones.transformer",
    "scipy.stats",
    "sklearn.ensemble",
    "hepfm.workflow.child",
)
"""What the server imports before it forks; torch's optimizers import the largest of it when first built."""


def start_server() -> ForkServerContext:
    """Start the server that processes are forked from, if it does not run yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    with _environment({**ONE_THREAD, **KEEP_MEMORY, ignore_interrupts.IN_SERVER: "1"}):
        multiprocessing.forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def execute(workspace: Workspace, run: Run, *, cores: int = 1) -> str:
    """Do one run unless it is done, and mark how it ended.

    Returns
    -------
    str
        ``"done"`` or ``"failed"``; a failure is written into the run's folder, never raised.
    """
    folder = workspace.run(run.name)
    with run_lock(folder):
        if folder.facts() is not None:
            return "done"
        start = time.perf_counter()
        again = folder.path.joinpath("run.json").exists()
        folder.begin(run)
        try:
            facts = VERBS.load(run.verb)().run(workspace, run, cores=cores)
        except HepfmError as error:
            final = isinstance(error, DivergedError)
            folder.fail(kind=type(error).__name__, message=str(error), final=final)
            return "failed"
        except Exception as error:  # one run's bug must not stop the others; the diagnosis is kept
            folder.fail(kind=type(error).__name__, message=traceback.format_exc(limit=-8))
            return "failed"
        folder.finish({**facts, **_cost(time.perf_counter() - start, cores, again)})
    return "done"


def _cost(seconds: float, cores: int, again: bool) -> Values:
    """Return what every run notes of its cost; seconds are those of the last attempt."""
    return {
        "seconds": round(seconds, 3),
        "threads": cores,
        "after_a_stop": again,
        "peak_memory_bytes": peak_memory(),
        "hepfm": hepfm.__version__,
        "commit": code_commit(),
    }


def peak_memory() -> int:
    """Return the most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAX_RSS


def in_child(path: str, values: Values, cores: int) -> None:
    """Do one run in this process: one thread, messages into the run's log, an end with the parent."""
    workspace, run = Workspace(Path(path)), Run.from_dict(values)
    folder = workspace.run(run.name).path
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    configure()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_thread()
    execute(workspace, run, cores=cores)


def one_thread() -> None:
    """Let torch use one thread."""
    import torch

    torch.set_num_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
