"""A chunk of jets of hard events that are simulated several times: rows that share an origin belong
together."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.guards import reading
from hepfm.core.ragged import Array, Ragged, concatenate, take_rows
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.data.schemas.jets import JET_WEIGHT, ORIGIN, VARIATION
from hepfm.simulate.chunk import Chunk, ChunkKey, Process
from hepfm.simulate.collisions import HOPELESS_EVENTS, chunk_keys
from hepfm.simulate.event_files import events_of
from hepfm.simulate.hard_process import Beams, HardEvent, HardProcess, Resimulator
from hepfm.simulate.hepmc import HepmcGenerator, NumberedEvents, record_of
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import (
    jet_columns,
    jets_of_class,
    refuse_hopeless,
    truth_of_constituents,
)
from hepfm.simulate.origins import NOTHING, HardParticles, hard_particles, origin_of
from hepfm.simulate.particles import Candidates, Ints
from hepfm.simulate.pythia import SEED_BITS, Pythia, Record
from hepfm.simulate.resimulation import Resimulation

EVENTS = 1 << 32
"""Numbers of origins that a chunk has to itself."""
PARTICLES = 16
"""Numbers of origins that a hard event has to itself."""

Rows = dict[str, Array | Ragged]


class Variation(ABC):
    """One way of simulating the hard events of a chunk: a generator, a detector and their seeds."""

    pythia: Pythia

    def __init__(self, recipe: JetRecipe, key: ChunkKey, name: str) -> None:
        assert recipe.resimulate is not None
        self.purpose = f"simulate {key.class_name} {key.split}"
        self.recipe, self.class_name = recipe, key.class_name
        self.number = recipe.resimulate.variations.index(name)
        self._rng = numpy_generator(recipe.seed, f"{self.purpose} detector {name}", key.index)
        self._detector = recipe.detector.cls(recipe.detector.config)
        self.last: tuple[Record, Candidates] | None = None
        """The last events, for messages."""

    @abstractmethod
    def simulate(self, events: list[HardEvent]) -> tuple[Record, Ints]:
        """Return the record of hard events with their weights, and the number of each; some may miss."""

    def rows(
        self, events: list[HardEvent], first: int, hard: HardParticles | None
    ) -> tuple[Rows, HardParticles]:
        """Return the jets of hard events, the first of which has the number `first`, with their origins.

        Parameters
        ----------
        events, first
            The hard events.
        hard
            Their outgoing particles; None to look for them in this variation, which returns them.
        """
        record, number = self.simulate(events)
        candidates = self._detector(self.pythia.stable(record), self._rng)
        self.last = record, candidates
        if hard is None:
            found = hard_particles(record)
            hard = replace(found, event=number[found.event])
        jets = jets_of_class(self.recipe, self.class_name, record, candidates)
        numbered = replace(jets.jets, event=number[jets.jets.event])
        radius = self.recipe.selection.radius
        origin = origin_of(hard, numbered, num_events=len(events), radius=radius)
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
        return {**columns, JET_WEIGHT.name: record.weight[event]}, hard


class PythiaVariation(Variation):
    """Pythia, with the lines of the variation."""

    def __init__(self, recipe: JetRecipe, key: ChunkKey, name: str, beams: Beams) -> None:
        super().__init__(recipe, key, name)
        assert recipe.resimulate is not None
        self.pythia: Resimulator = Resimulator(
            (*recipe.lines(key.class_name, key.index), *recipe.resimulate.lines_of(name)),
            seed=1 + integer_seed(recipe.seed, f"{self.purpose} pythia {name}", key.index, bits=SEED_BITS),
            where=f"class {key.class_name}, variation {name}",
            beams=beams,
        )

    def simulate(self, events: list[HardEvent]) -> tuple[Record, Ints]:
        """Let Pythia shower the hard events."""
        return self.pythia.simulate(events)


class FileVariation(Variation):
    """Another generator's events of the same hard events, by their number in a HepMC3 file."""

    def __init__(self, recipe: JetRecipe, key: ChunkKey, name: str, path: Path) -> None:
        super().__init__(recipe, key, name)
        assert recipe.resimulate is not None
        self.pythia: HepmcGenerator = HepmcGenerator(
            path, events=range(0), where=f"class {key.class_name}, variation {name}"
        )
        self._events = NumberedEvents(path)
        self._first = recipe.resimulate.first_number

    def simulate(self, events: list[HardEvent]) -> tuple[Record, Ints]:
        """Read the events with the numbers of the hard events."""
        wanted = [self._first + event.position for event in events if event.position is not None]
        number = np.array([k for k, one in enumerate(wanted) if one in self._events], np.int64)
        if not len(number):
            raise DataError(
                f"{self._events.path} has none of the events {wanted[0]} to {wanted[-1]}; its event numbers "
                "must be positions in the Les Houches file, the first of them resimulate.first_number"
            )
        with reading(self._events.path, what="a HepMC3 file of events"):
            record = record_of(self._events.read([wanted[k] for k in number.tolist()]))
        return record.with_weights(np.array([events[k].weight for k in number.tolist()])), number


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
    variations = _variations(recipe, key, hard.beams)
    parts: list[Rows] = []
    origins = passed = events = 0
    while origins < key.rows:
        batch = hard.batch(recipe.batch_events)
        rows = concatenate(_rows(variations, batch, events))
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


def _variations(recipe: JetRecipe, key: ChunkKey, beams: Beams) -> list[Variation]:
    """Return the variations of a chunk, those of files after those of Pythia."""
    resimulate = recipe.resimulate
    assert resimulate is not None
    made: list[Variation] = []
    for name in sorted(resimulate.variations, key=lambda name: name in resimulate.files):
        path = resimulate.file_of(name, key.class_name)
        if path is None:
            made.append(PythiaVariation(recipe, key, name, beams))
        else:
            made.append(FileVariation(recipe, key, name, path))
    return made


def _rows(variations: list[Variation], batch: list[HardEvent], first: int) -> list[Rows]:
    """Return the rows of a batch in the order of the variations.

    Pythia's variations know the particles of the hard process themselves; for those of files the first
    variation's are taken: other generators mark them in other ways, or not at all.
    """
    parts: dict[int, Rows] = {}
    known: HardParticles | None = None
    for variation in variations:
        given = known if isinstance(variation, FileVariation) else None
        parts[variation.number], hard = variation.rows(batch, first, given)
        known = known or hard
    return [parts[number] for number in sorted(parts)]


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
