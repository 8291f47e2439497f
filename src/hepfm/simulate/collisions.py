"""Chunks of rows that come from collisions: which there are, and how one is filled from a generator."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from hepfm.core.ragged import Array, Columns, Ragged, concatenate
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.core.schema import Schema
from hepfm.simulate.chunk import Chunk, ChunkKey, Process
from hepfm.simulate.collision_recipe import CollisionRecipe
from hepfm.simulate.detector import Detector
from hepfm.simulate.event_files import events_of
from hepfm.simulate.hepmc import HepmcGenerator
from hepfm.simulate.particles import Bools, Candidates
from hepfm.simulate.pythia import SEED_BITS, PythiaGenerator, Record
from hepfm.simulate.simulation import SPLITS

HOPELESS_EVENTS = 20_000
"""A class that gives no row in so many events is taken for a mistake in its recipe."""

Generator = PythiaGenerator | HepmcGenerator


@dataclass(frozen=True)
class FoundRows:
    """What a batch of events gives.

    Attributes
    ----------
    columns
        Rows that are kept, with the weight of their event.
    counted
        How many they count for of those that the chunk is asked for: rows, or what rows come from.
    passed
        Rows that passed, also those beyond what was wanted.
    """

    columns: Columns
    counted: int
    passed: int


RowsOf = Callable[[Record, Candidates, int], FoundRows]
"""From events, their candidates and how many are still wanted to rows that count for so many at most."""


def chunk_keys(recipe: CollisionRecipe) -> list[ChunkKey]:
    """Return the chunks of a recipe, class after class within each split."""
    return [
        ChunkKey(name, split, index, size)
        for split in SPLITS
        for name in recipe.class_names
        for index, size in enumerate(_chunk_sizes(recipe, name, recipe.sizes[split]))
    ]


def _chunk_sizes(recipe: CollisionRecipe, name: str, rows: int) -> list[int]:
    """Cut a number of rows into chunks; the variants of a class get equally many."""
    variants = recipe.num_variants(name)
    chunks = variants * -(-rows // (variants * recipe.chunk_rows))
    return [size for size in (rows // chunks + (i < rows % chunks) for i in range(chunks)) if size]


def fill_chunk(
    recipe: CollisionRecipe,
    key: ChunkKey,
    generator: Generator,
    *,
    rows_of: RowsOf,
    random: np.random.Generator,
    refuse: Callable[[Record, Candidates, int], NoReturn],
    measured: Callable[[Record], Bools] | None = None,
) -> Chunk:
    """Generate and measure events until the chunk has what it is asked for.

    Parameters
    ----------
    recipe, key
        The chunk.
    generator
        From `generator_of`.
    rows_of
        Turns events into rows.
    random
        What the detector draws from; see `detector_random`.
    refuse
        Raises the error for a class without any row in `HOPELESS_EVENTS` events, of which it is given the
        last and the number.
    measured
        Which events are measured; the others have no candidates. None for all.
    """
    started = time.process_time() - generator.seconds
    detector: Detector = recipe.detector.cls(recipe.detector.config)
    parts: list[Columns] = []
    stored = passed = events = 0
    while stored < key.rows:
        record = generator.batch(recipe.batch_events)
        particles = generator.stable(record)
        if measured is not None:
            particles = particles.take(measured(record)[particles.event])
        candidates = detector(particles, random)
        found = rows_of(record, candidates, key.rows - stored)
        parts.append(found.columns)
        stored += found.counted
        events += record.num_events
        passed += found.passed
        if passed == 0 and events >= HOPELESS_EVENTS:
            refuse(record, candidates, events)
    process = Process(generator.weight_sum, generator.sigma_mb)
    seconds = generator.seconds, time.process_time() - started
    return Chunk(concatenate(parts), events, passed, *seconds, process)


def detector_random(recipe: CollisionRecipe, key: ChunkKey) -> np.random.Generator:
    """Return the random numbers of a chunk's detector."""
    return numpy_generator(recipe.seed, f"simulate {key.class_name} {key.split} detector", key.index)


def generator_of(recipe: CollisionRecipe, key: ChunkKey) -> Generator:
    """Return the source of a chunk's events."""
    where, events = f"class {key.class_name}", events_of(recipe, key, chunk_keys(recipe))
    given = recipe.given_events(key.class_name)
    if given is not None:
        assert events is not None
        return HepmcGenerator(given, events=events, where=where)
    purpose = f"simulate {key.class_name} {key.split} pythia"
    return PythiaGenerator(
        recipe.lines(key.class_name, key.index),
        seed=1 + integer_seed(recipe.seed, purpose, key.index, bits=SEED_BITS),
        where=where,
        events=events,
    )


def typed_columns(columns: Columns, schema: Schema) -> dict[str, Array | Ragged]:
    """Return the columns that a schema has, in its types."""
    typed: dict[str, Array | Ragged] = {}
    for field in schema:
        column = columns[field.name]
        if isinstance(column, Ragged):
            typed[field.name] = column.with_values(column.values.astype(field.dtype))
        else:
            typed[field.name] = column.astype(field.dtype)
    return typed
