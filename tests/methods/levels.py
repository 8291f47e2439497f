"""Toy events at two levels, whose truth is known: a number, smeared by a detector that loses some of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hepfm.core.schema import Field, Level, Schema
from hepfm.data.schemas.jets import EVENT_ID
from hepfm.data.schemas.levels import JET_LEVEL, LEVELS, PASSES
from hepfm.data.writer import StoreWriter

SCHEMA = Schema(
    (
        EVENT_ID,
        JET_LEVEL,
        *PASSES.values(),
        Field("x", Level.OBJECT),
        Field("y", Level.OBJECT),
        Field("w", Level.OBJECT),
    ),
    group=EVENT_ID.name,
    weight="w",
)


def toy_columns(
    count: int,
    *,
    mean: float = 0.0,
    width: float = 1.0,
    seed: int = 0,
    weight: float = 1.0,
    lossless: bool = False,
) -> dict[str, np.ndarray]:
    """Return rows of both levels: x is smeared and lost at small values; y is a coarse copy of it."""
    rng = np.random.default_rng(seed)
    true = rng.normal(mean, width, count)
    seen = true + rng.normal(0, 0.5, count)
    passes = {
        "detector": (rng.random(count) < 1 / (1 + np.exp(-true - 1))) | lossless,
        "particle": (rng.random(count) < 0.95) | lossless,
    }
    values = {"detector": seen, "particle": true}
    parts = []
    for level in LEVELS:
        event = np.flatnonzero(passes[level])
        parts.append(
            {
                EVENT_ID.name: event,
                JET_LEVEL.name: np.full(len(event), LEVELS.index(level), np.int8),
                **{PASSES[name].name: passes[name][event] for name in LEVELS},
                "x": values[level][event].astype(np.float32),
                "y": np.round(values[level][event]).astype(np.float32),
                "w": np.full(len(event), weight, np.float32),
            }
        )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns[EVENT_ID.name], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def toy_store(path: Path, count: int, **options: object) -> Path:
    """Write a store of `toy_columns`."""
    with StoreWriter(path, SCHEMA, provenance={}) as writer:
        writer.write(toy_columns(count, **options), split="test")  # type: ignore[arg-type]
    return path
