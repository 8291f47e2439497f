"""Events of two jets in which signal jets have more constituents, and a mass that they do not tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from builders import make_jets

from hepfm.core.ragged import Array, Ragged
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.schemas.dijets import DIJET_CLASSES, DIJET_MASS
from hepfm.data.schemas.jets import EVENT_ID, jet_schema
from hepfm.data.table import Table
from hepfm.data.writer import StoreWriter

FEWER, MORE = 4.0, 9.0
"""Mean numbers of constituents of background and signal jets."""


def pair_schema() -> Schema:
    """Return the fields of the jets."""
    return replace(jet_schema(DIJET_CLASSES, extra=(DIJET_MASS, EVENT_ID)), group=EVENT_ID.name)


def jet_pairs(background: int, signal: int, *, seed: int, first: int = 0) -> dict[str, Array | Ragged]:
    """Return columns of jets, those of an event far from each other; events are numbered from `first`."""
    rng, events = numpy_generator(seed, "test.pairs"), background + signal
    label = np.repeat([0, 1], [background, signal])
    mass = np.where(label == 0, 2300 + rng.exponential(700, events) % 2700, rng.normal(3500, 60, events))
    counts = 1 + rng.poisson(np.where(np.tile(label, 2) == 0, FEWER, MORE))
    columns = make_jets(2 * events, seed=seed, lengths=counts)
    columns["jet_label"] = np.tile(label, 2).astype(np.int16)
    columns[DIJET_MASS.name] = np.tile(mass, 2).astype(np.float32)
    columns[EVENT_ID.name] = np.tile(np.arange(events) + first, 2)
    return columns


def pair_table(background: int, signal: int, *, seed: int) -> Table:
    """Return such jets in memory."""
    return Table.from_dict(jet_pairs(background, signal, seed=seed), pair_schema(), name="pairs")


def pair_store(path: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """Write a store of such jets; sizes are numbers of events of background and signal of each split."""
    with StoreWriter(path, pair_schema(), provenance={"source": "test"}) as writer:
        for seed, (split, (background, signal)) in enumerate(sizes.items()):
            writer.write(jet_pairs(background, signal, seed=seed, first=10_000 * seed), split=split)
    return writer.path
