"""Chunks in parallel processes, each written to a file of its own, whole or not at all."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from hepfm.core.errors import HepfmError
from hepfm.core.files import atomic_path
from hepfm.core.guards import reading
from hepfm.simulate.chunk import Chunk, ChunkKey, pack, unpack
from hepfm.simulate.simulation import Simulation


def run_chunks(
    simulation: Simulation, keys: Sequence[ChunkKey], work: Path, processes: int
) -> Iterator[ChunkKey]:
    """Make chunks and yield the key of each when its file is there.

    An error or a Ctrl-C ends the other processes at once; what they were making is lost.
    """
    if processes <= 1:
        for key in keys:
            yield write_chunk(simulation, key, work)
        return
    context = multiprocessing.get_context("spawn")
    listening, stopping = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_set_up_worker, initargs=(listening,)
    )
    try:
        with _hidden_main(), _signals_kept():
            futures: list[Future[ChunkKey]] = [
                pool.submit(write_chunk, simulation, key, work) for key in keys
            ]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise HepfmError(
            "a worker process was killed, perhaps for memory (try fewer processes); complete chunks are "
            "kept, run the same command again"
        ) from None
    finally:
        stopping.close()  # the workers hear it and end; those that are done have nothing to lose
        pool.shutdown(wait=True, cancel_futures=True)
        listening.close()


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


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Let processes that start meanwhile leave Ctrl-C and SIGTERM, sent to all of a group, to this one.

    They inherit the blocked signals; here what came meanwhile is heard at the end of the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _set_up_worker(listening: Connection) -> None:
    """End with the parent, or as soon as it says so by closing its end of the pipe."""
    threading.Thread(target=_end_when_told, args=(listening,), daemon=True).start()


def _end_when_told(listening: Connection) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel, listening])
        os._exit(1)


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_chunk(simulation: Simulation, key: ChunkKey, work: Path) -> ChunkKey:
    """Make one chunk and write its file, whole or not at all."""
    arrays = pack(simulation.make(key))
    with atomic_path(work / key.file) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return key


def read_chunk(work: Path, key: ChunkKey) -> Chunk:
    """Read a chunk's file; raise `DataError` when it is damaged."""
    path = work / key.file
    with (
        reading(path, what="a finished chunk", fix="remove it and run the same command again"),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        return unpack(dict(arrays))
