"""Batches processed in parallel by the threads of a processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(work: Callable[[T], None], items: Iterable[T], *, device: torch.device) -> None:
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
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    guarded = torch.no_grad()(work)
    if threads == 1:
        for item in items:
            guarded(item)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(guarded, items):
                pass
    finally:
        # A thread's setting is also the initial setting of threads started later.
        torch.set_num_threads(threads)
