"""Batches side by side: everything is done once, errors come through, torch's threads are put back."""

from __future__ import annotations

import threading

import pytest
import torch

from hepfm.generators.parallel import for_each

CPU = torch.device("cpu")


@pytest.mark.parametrize("threads", [1, 3])
def test_each_item_is_worked_on_once_without_gradients(threads: int) -> None:
    torch.set_num_threads(threads)
    out = torch.zeros(20)
    modes, inner = [], []

    def work(index: int) -> None:
        modes.append(torch.is_grad_enabled())
        inner.append(torch.get_num_threads())
        out[index] += index

    for_each(work, range(20), device=CPU)
    assert torch.equal(out, torch.arange(20.0))
    assert modes == [False] * 20
    assert set(inner) == {1}
    assert torch.get_num_threads() == threads


def test_several_threads_work_at_once() -> None:
    torch.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=20)
    for_each(lambda _: meeting.wait() and None, range(2), device=CPU)
    assert not meeting.broken


def test_an_error_comes_through_and_the_threads_are_put_back() -> None:
    torch.set_num_threads(2)

    def work(index: int) -> None:
        raise ValueError(f"item {index}")

    with pytest.raises(ValueError, match="item 0"):
        for_each(work, range(2), device=CPU)
    assert torch.get_num_threads() == 2
