"""Batches that are worked on side by side by the threads of a processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(work: Callable[[T], None], items: Iterable[T], *, device: torch.device) -> None:
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
        # A thread's setting is also what threads made later start with.
        torch.set_num_threads(threads)
