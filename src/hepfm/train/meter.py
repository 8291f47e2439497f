"""Means of logged values and the time they took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from hepfm.train.distributed import World


@dataclass
class Meter:
    """Sums of logged values since the last line of the log."""

    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Take in the values of a step."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1

    def shared(self, world: World) -> Meter:
        """Return the meter averaged over processes."""
        sums = torch.tensor(list(self.sums.values()), dtype=torch.float64, device=world.device)
        means = (world.sum(sums) / world.size).tolist()
        return Meter(dict(zip(self.sums, means, strict=True)), self.steps)

    def means(self) -> dict[str, float]:
        """Return the means over steps."""
        return {name: value / self.steps for name, value in self.sums.items()}


class Clock:
    """Rows a second since the last lap, pauses left out."""

    def __init__(self) -> None:
        self.rows = 0
        self._start = time.perf_counter()

    def count(self, rows: int) -> None:
        """Take in rows that were trained on."""
        self.rows += rows

    def lap(self) -> float:
        """Return the rows a second since the last lap, and begin a new one."""
        start, self._start = self._start, time.perf_counter()
        rows, self.rows = self.rows, 0
        return rows / (self._start - start)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the block out of the present lap."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - before
