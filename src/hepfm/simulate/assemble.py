"""The final store: rows of all chunks, shuffled within their split, and the record of their making."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.ragged import Array, Columns, concatenate, take_rows
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.workers import read_chunk

SHUFFLE_ROWS = 50_000
"""Rows held in memory while the final store is written."""


Read = Callable[[ChunkKey], Columns]
"""Returns the columns of a chunk as they are stored."""


def shuffled(
    keys: Sequence[ChunkKey], sizes: Sequence[int], read: Read, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield the rows of these chunks in one random order, a bounded number at a time; `sizes` are their
    numbers."""
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    order = rng.permutation(first[-1])
    for start in range(0, len(order), SHUFFLE_ROWS):
        piece = order[start : start + SHUFFLE_ROWS]
        parts, places = [], []
        for number, key in enumerate(keys):
            here = np.flatnonzero((piece >= first[number]) & (piece < first[number + 1]))
            if len(here):
                parts.append(take_rows(read(key), piece[here] - first[number]))
                places.append(here)
        yield take_rows(concatenate(parts), np.argsort(np.concatenate(places)))


@dataclass(frozen=True)
class Counts:
    """What chunks have made.

    Attributes
    ----------
    classes
        Events and rows of each class.
    sizes
        Rows of each chunk.
    seconds
        Processor seconds inside Pythia, and in all.
    """

    classes: dict[str, dict[str, int]]
    sizes: dict[ChunkKey, int]
    seconds: Array

    @property
    def pythia_share(self) -> float:
        """Share of the time that was spent inside Pythia."""
        return float(self.seconds[0] / self.seconds[1])


def count(keys: Sequence[ChunkKey], work: Path, *, rows: str) -> Counts:
    """Return what the chunks in a folder have made; `rows` is what rows are called."""
    counts: dict[str, dict[str, int]] = {}
    sizes: dict[ChunkKey, int] = {}
    seconds = np.zeros(2)
    for key in keys:
        chunk = read_chunk(work, key)
        row = counts.setdefault(key.class_name, {"events": 0, f"{rows}_found": 0, f"{rows}_kept": 0})
        row["events"] += chunk.events
        row[f"{rows}_found"] += chunk.passed
        row[f"{rows}_kept"] += chunk.rows
        sizes[key] = chunk.rows
        seconds += (chunk.pythia_seconds, chunk.seconds)
    return Counts(counts, sizes, seconds)
