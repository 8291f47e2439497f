"""Chunks in parallel processes, each written to a file of its own, whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hepfm.core import log
from hepfm.core.errors import DataError, HepfmError
from hepfm.core.files import atomic_path
from hepfm.simulate.chunk import Chunk, ChunkKey, pack, unpack
from hepfm.simulate.plan import SimulationPlan


def run_chunks(
    plan: SimulationPlan, keys: Sequence[ChunkKey], work: Path, processes: int
) -> Iterator[ChunkKey]:
    """Make chunks and yield the key of each when its file is there."""
    if processes <= 1:
        for key in keys:
            yield write_chunk(plan, key, work)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_set_up_worker) as pool:
        with _hidden_main():
            futures: list[Future[ChunkKey]] = [pool.submit(write_chunk, plan, key, work) for key in keys]
        try:
            for future in as_completed(futures):
                yield future.result()
        except KeyboardInterrupt:
            log.logger.warning("stopping when the chunks in flight are done")
            raise
        except BrokenProcessPool:
            raise HepfmError(
                "a worker process was killed, perhaps for memory (try fewer processes); complete chunks are "
                "kept, run the same command again"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep workers that start meanwhile from importing the caller's script, which they do not need.

    So a script needs no ``if __name__ == "__main__":``, and may come from standard input.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _set_up_worker() -> None:
    """Leave Ctrl-C to the parent, which lets chunks in flight end; do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_chunk(plan: SimulationPlan, key: ChunkKey, work: Path) -> ChunkKey:
    """Make one chunk and write its file, whole or not at all."""
    arrays = pack(plan.make(key))
    with atomic_path(work / key.file) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return key


def read_chunk(work: Path, key: ChunkKey) -> Chunk:
    """Read a chunk's file; raise `DataError` when it is damaged."""
    try:
        with (work / key.file).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return unpack(dict(arrays))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{work / key.file} is damaged ({error}); remove it and run the same command again"
        ) from None
