"""Loaders of several kinds of rows at once: jets, events and showers in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import torch

from hepfm.core.batch import Batch
from hepfm.data.loader import EvalLoader, TrainLoader

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class JointBatch:
    """Batches of several domains, each with columns and a store of its own.

    Attributes
    ----------
    batches
        The batch of each domain; those that have no rows left in an evaluation are absent.
    """

    batches: Mapping[str, Batch]

    def __len__(self) -> int:
        return sum(map(len, self.batches.values()))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batches on another device."""
        moved = {name: batch.to(device, non_blocking=non_blocking) for name, batch in self.batches.items()}
        return type(self)(moved)


class JointTrainLoader:
    """Endless batches, each with a batch of every domain; see `hepfm.data.loader.TrainLoader`.

    Each domain has the batches that its loader would give alone: domains differ in the number of their rows,
    and a small one begins its next epoch while a large one is in its first.

    Parameters
    ----------
    loaders
        The loader of each domain.
    """

    def __init__(self, loaders: Mapping[str, TrainLoader]) -> None:
        self.loaders = dict(loaders)

    def __iter__(self) -> Iterator[JointBatch]:
        """Yield batches from where the loaders stand, without end."""
        for batches in zip(*self.loaders.values(), strict=True):
            yield JointBatch(dict(zip(self.loaders, batches, strict=True)))

    def state(self) -> dict[str, Any]:
        """Return where each loader stands, JSON-ready."""
        return {name: loader.state() for name, loader in self.loaders.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a place that `state` returned; raise `DataError` if data or options were others."""
        for name, loader in self.loaders.items():
            loader.restore(state.get(name, {}))


class JointEvalLoader:
    """Each row of every domain once; a domain that has no rows left is absent from the later batches.

    Parameters
    ----------
    loaders
        The loader of each domain.
    """

    def __init__(self, loaders: Mapping[str, EvalLoader]) -> None:
        self.loaders = dict(loaders)

    def __len__(self) -> int:
        return max(map(len, self.loaders.values()))

    def __iter__(self) -> Iterator[JointBatch]:
        for batches in zip_longest(*self.loaders.values()):
            there = zip(self.loaders, batches, strict=True)
            yield JointBatch({name: batch for name, batch in there if batch is not None})
