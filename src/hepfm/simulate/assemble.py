"""The final store: rows of all chunks, shuffled within their split, and the record of their making."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hepfm
from hepfm.core.ragged import Array, concatenate, take_rows
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.recipe import Recipe
from hepfm.simulate.workers import read_chunk

SHUFFLE_ROWS = 50_000
"""Rows held in memory while the final store is written."""


def shuffled(keys: Sequence[ChunkKey], work: Path, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the rows of these chunks in one random order, a bounded number at a time."""
    first = np.concatenate([[0], np.cumsum([key.jets for key in keys])]).astype(np.int64)
    order = rng.permutation(first[-1])
    for start in range(0, len(order), SHUFFLE_ROWS):
        piece = order[start : start + SHUFFLE_ROWS]
        parts, places = [], []
        for number, key in enumerate(keys):
            here = np.flatnonzero((piece >= first[number]) & (piece < first[number + 1]))
            if len(here):
                parts.append(take_rows(read_chunk(work, key).columns, piece[here] - first[number]))
                places.append(here)
        yield take_rows(concatenate(parts), np.argsort(np.concatenate(places)))


def count(recipe: Recipe, keys: Sequence[ChunkKey], work: Path) -> tuple[dict[str, dict[str, int]], Array]:
    """Return events and jets of each class, and the processor seconds inside Pythia and in all."""
    counts = {name: {"events": 0, "jets_found": 0, "jets_kept": 0} for name in recipe.class_names}
    seconds = np.zeros(2)
    for key in keys:
        chunk = read_chunk(work, key)
        row = counts[key.class_name]
        row["events"] += chunk.events
        row["jets_found"] += chunk.found
        row["jets_kept"] += key.jets
        seconds += (chunk.pythia_seconds, chunk.seconds)
    return counts, seconds


def provenance(recipe: Recipe, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return what the store says about its making."""
    return {
        "source": "simulated with Pythia 8 and FastJet by hepfm",
        "recipe": recipe.model_dump(mode="json"),
        "recipe_fingerprint": recipe.fingerprint(),
        "seed": recipe.seed,
        "detector": recipe.detector_component().spec(),
        "versions": versions(),
        "classes": {
            name: {
                **counts[name],
                "pythia": list(recipe.lines(name, 0)),
                "variants": [list(v) for v in recipe.classes[name].variants],
            }
            for name in recipe.class_names
        },
    }


def versions() -> dict[str, str]:
    """Return the versions that the jets depend on."""
    libraries = {name: importlib.metadata.version(name) for name in ("pythia8mc", "fastjet", "numpy")}
    return {"hepfm": hepfm.__version__, **libraries}
