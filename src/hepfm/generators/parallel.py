"""Batches that are worked on side by side by the threads of a processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def for_each(work: Callable[[T], R], items: Iterable[T], *, device: torch.device) -> list[R]:
    """Call `work` with each item, without gradients; on a CPU as many at once as torch has threads.

    A small network's operators are too short to be shared well by threads, whole batches are not. What is
    computed does not change.

    Parameters
    ----------
    work
        Must not touch what another call touches.
    items
        Whatever it is called with.
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
        # A thread's setting is also what threads made later start with.
        torch.set_num_threads(threads)
