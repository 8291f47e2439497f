"""A chunk: the unit of work of a simulation, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array, Columns, Ragged


@dataclass(frozen=True)
class ChunkKey:
    """Which chunk: class, split, and number within them; `rows` is how many are asked for.

    A chunk has as many rows, or, of simulations of hard events, as many origins of rows.
    """

    class_name: str
    split: str
    index: int
    rows: int

    @property
    def file(self) -> str:
        """Name of the chunk's file."""
        return f"{self.class_name}-{self.split}-{self.index:05d}.npz"


@dataclass(frozen=True)
class Process:
    """What a generator says of the events of a chunk: sum of their weights, and cross section in mb."""

    weight_sum: float
    sigma_mb: float


@dataclass(frozen=True)
class Chunk:
    """What a chunk yields.

    Attributes
    ----------
    columns
        The rows, in the fields of the simulation's schema; those of generated events with the weight of their
        event in the field `hepfm.simulate.simulation.Simulation.weight`, as the generator gives it.
    events
        Events generated; showers are events of their own.
    passed
        Rows that passed; at least those in `columns`, which stop at the number asked for.
    pythia_seconds, seconds
        Processor time inside Pythia, and in all.
    process
        None where no generator made the events.
    """

    columns: Columns
    events: int
    passed: int
    pythia_seconds: float
    seconds: float
    process: Process | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return min(len(column) for column in self.columns.values())


def pack(chunk: Chunk) -> dict[str, Array]:
    """Return a chunk as plain arrays for a file; the inverse of `unpack`."""
    arrays: dict[str, Array] = {"#counts": np.array([chunk.events, chunk.passed], np.int64)}
    if chunk.process is not None:
        arrays["#process"] = np.array([chunk.process.weight_sum, chunk.process.sigma_mb])
    arrays["#seconds"] = np.array([chunk.pythia_seconds, chunk.seconds])
    for name, column in chunk.columns.items():
        if isinstance(column, Ragged):
            arrays[f"{name}#values"], arrays[f"{name}#offsets"] = column.values, column.offsets
        else:
            arrays[name] = column
    return arrays


def unpack(arrays: Mapping[str, Array]) -> Chunk:
    """Build a chunk from `pack`'s arrays."""
    columns: dict[str, Array | Ragged] = {}
    for name in arrays:
        field, _, part = name.partition("#")
        if part == "values":
            columns[field] = Ragged(arrays[name], arrays[f"{field}#offsets"])
        elif field and not part:
            columns[field] = arrays[name]
    events, passed = arrays["#counts"].tolist()
    pythia_seconds, seconds = arrays["#seconds"].tolist()
    process = Process(*arrays["#process"].tolist()) if "#process" in arrays else None
    return Chunk(columns, events, passed, pythia_seconds, seconds, process)
