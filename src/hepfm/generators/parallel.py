"""Batches processed in parallel by the threads of a processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def for_each(work: Callable[[T], R], items: Iterable[T], *, device: torch.device) -> list[R]:
    """Call `work` with each item, without gradients; on a CPU as many at once as torch has threads.

    A small network's operators are too short to be divided among threads, whole batches are not. The results
    do not change.

    Parameters
    ----------
    work
        Called with each item; must not touch data of another call.
    items
        The items.
    device
        Where the tensors are; on an accelerator calls follow one another.

    Returns
    -------
    list
        What `work` returned, in the order of the items.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    guarded = torch.no_grad()(work)
    if threads == 1:
        return [guarded(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(guarded, items))
    finally:
        # A thread's setting is also the initial setting of threads started later.
        torch.set_num_threads(threads)
