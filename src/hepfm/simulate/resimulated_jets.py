"""A chunk of jets of hard events that are simulated several times: rows that share an origin belong
together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.ragged import Array, Ragged, concatenate, take_rows
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.data.schemas.jets import JET_WEIGHT
from hepfm.simulate.chunk import Chunk, ChunkKey, Process
from hepfm.simulate.event_files import events_of
from hepfm.simulate.hard_process import Beams, HardEvent, HardProcess, Resimulator
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import (
    HOPELESS_EVENTS,
    chunk_keys,
    jet_columns,
    jets_of_class,
    refuse_hopeless,
    truth_of_constituents,
)
from hepfm.simulate.origins import NOTHING, origin_of
from hepfm.simulate.particles import Candidates, Ints
from hepfm.simulate.pythia import SEED_BITS, Record
from hepfm.simulate.resimulation import ORIGIN, VARIATION, Resimulation

EVENTS = 1 << 32
"""Numbers of origins that a chunk has to itself."""
PARTICLES = 16
"""Numbers of origins that a hard event has to itself."""

Rows = dict[str, Array | Ragged]


class Variation:
    """One way of simulating the hard events of a chunk: a Pythia, a detector and their seeds."""

    def __init__(self, recipe: JetRecipe, key: ChunkKey, name: str, beams: Beams) -> None:
        assert recipe.resimulate is not None
        purpose = f"simulate {key.class_name} {key.split}"
        self.recipe, self.class_name = recipe, key.class_name
        self.number = recipe.resimulate.variations.index(name)
        self._rng = numpy_generator(recipe.seed, f"{purpose} detector {name}", key.index)
        self._detector = recipe.detector.cls(recipe.detector.config)
        self.pythia = Resimulator(
            (*recipe.lines(key.class_name, key.index), *recipe.resimulate.lines_of(name)),
            seed=1 + integer_seed(recipe.seed, f"{purpose} pythia {name}", key.index, bits=SEED_BITS),
            where=f"class {key.class_name}, variation {name}",
            beams=beams,
        )
        self.last: tuple[Record, Candidates] | None = None
        """The last events, for messages."""

    def rows(self, events: list[HardEvent], first: int) -> Rows:
        """Return the jets of hard events, the first of which has the number `first`, with their origins."""
        record, number = self.pythia.simulate(events)
        candidates = self._detector(self.pythia.stable(record), self._rng)
        self.last = record, candidates
        jets = jets_of_class(self.recipe, self.class_name, record, candidates)
        origin = origin_of(record, jets.jets, radius=self.recipe.selection.radius)
        kept = np.flatnonzero(origin != NOTHING)
        jets, origin = jets.take(kept), origin[kept]
        event = jets.jets.event
        truth = {
            ORIGIN.name: (first + number[event]) * PARTICLES + origin,
            VARIATION: np.full(len(jets), self.number),
        }
        jets = jets.with_truth(
            {**truth, **truth_of_constituents(self.recipe, jets, record, candidates, self.pythia)}
        )
        columns = jet_columns(jets, candidates, self.recipe, class_name=self.class_name)
        return {**columns, JET_WEIGHT.name: record.weight[event]}


@dataclass(frozen=True)
class Kept:
    """Which rows are stored, and how many there were of complete enough origins."""

    rows: Ints
    origins: int
    passed: int


def make_chunk(recipe: JetRecipe, key: ChunkKey) -> Chunk:
    """Simulate hard events in every variation until the chunk has its origins, ``key.rows`` of them.

    An origin counts when it has a jet in one simulation, or with `require_all` in all of them; rows are
    ordered by origin, then by variation.
    """
    resimulate = recipe.resimulate
    assert resimulate is not None
    begin, keys = time.process_time(), chunk_keys(recipe)
    purpose = f"simulate {key.class_name} {key.split}"
    hard = HardProcess(
        recipe.lines(key.class_name, key.index),
        seed=1 + integer_seed(recipe.seed, f"{purpose} pythia", key.index, bits=SEED_BITS),
        where=f"class {key.class_name}",
        events=events_of(recipe, key, keys),
    )
    variations = [Variation(recipe, key, name, hard.beams) for name in resimulate.variations]
    parts: list[Rows] = []
    origins = passed = events = 0
    while origins < key.rows:
        batch = hard.batch(recipe.batch_events)
        rows = concatenate([variation.rows(batch, events) for variation in variations])
        kept = choose(np.asarray(rows[ORIGIN.name]), resimulate, limit=key.rows - origins)
        parts.append(take_rows(rows, kept.rows))
        events += len(batch)
        passed += kept.passed
        origins += kept.origins
        if origins == 0 and events >= HOPELESS_EVENTS:
            _refuse(recipe, key.class_name, variations[0], events=events)
    columns = concatenate(parts)
    columns[ORIGIN.name] = np.asarray(columns[ORIGIN.name]) + EVENTS * keys.index(key)
    process = Process(hard.weight_sum, hard.sigma_mb)
    inside = hard.seconds + sum(variation.pythia.seconds for variation in variations)
    return Chunk(columns, events, passed, inside, time.process_time() - begin, process)


def choose(origin: Ints, resimulate: Resimulation, *, limit: int) -> Kept:
    """Return the rows of the first `limit` origins, by rising origin, each in the order of the rows."""
    numbers, counts = np.unique(origin, return_counts=True)
    if resimulate.require_all:
        numbers = numbers[counts == len(resimulate.variations)]
    passed = int(np.isin(origin, numbers).sum())
    numbers = numbers[:limit]
    rows = np.flatnonzero(np.isin(origin, numbers))
    return Kept(rows[np.argsort(origin[rows], kind="stable")], len(numbers), passed)


def _refuse(recipe: JetRecipe, class_name: str, variation: Variation, *, events: int) -> Any:
    assert variation.last is not None
    record, candidates = variation.last
    refuse_hopeless(recipe, class_name, record, candidates, events=events)
