"""Synthetic events: about ten reconstructed objects and eight of the generator, drawn without loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data.schemas.events import OBJECT_TYPES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter

CLASSES = ("first", "second")
SCHEMA = event_schema(CLASSES, truth=True)
_MEAN, _LEAST, _MOST, _GENERATOR = 9.0, 3, 18, 8
_CHUNK = 50_000


def synthetic_events(rows: int, *, seed: int = 0) -> dict[str, Any]:
    """Return events of jets, leptons and missing momentum with exponential pt; all else means nothing."""
    rng = numpy_generator(seed, "benchmark.events")
    seen = np.clip(rng.poisson(_MEAN, rows) + 1, _LEAST, _MOST)
    lengths = seen + _GENERATOR
    total, row = int(lengths.sum()), np.repeat(np.arange(rows), lengths)
    place = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    level = (place >= seen[row]).astype(np.int8)
    pt = rng.exponential(60.0, total) + 20
    pt = pt[np.lexsort((-pt, level, row))]
    eta, phi = rng.normal(0, 1.2, total), rng.uniform(-np.pi, np.pi, total)
    missing = rng.integers(0, seen)[row] == place
    eta[missing] = 0.0
    kinds = {name: OBJECT_TYPES.index(name) for name in ("met", "bottom")}
    reconstructed = np.where(missing, kinds["met"], rng.choice(5, total, p=(0.75, 0.1, 0.1, 0.02, 0.03)))
    made = np.where(rng.random(total) < 0.5, OBJECT_TYPES.index("quark"), kinds["bottom"])
    lists = {
        "object_pt": pt.astype(np.float32),
        "object_eta": eta.astype(np.float32),
        "object_phi": phi.astype(np.float32),
        "object_energy": (pt * np.cosh(eta) * (1 + 1e-6)).astype(np.float32),
        "object_type": np.where(level == 0, reconstructed, made).astype(np.int8),
        "object_level": level,
        "object_charge": rng.integers(-1, 2, total).astype(np.float32),
        "object_b_tag": (rng.random(total) < 0.2).astype(np.float32),
        "object_pdg": np.where(level == 0, 0, 5).astype(np.int32),
        "object_role": np.zeros(total, np.int8),
    }
    columns: dict[str, Any] = {name: Ragged.from_lengths(v, lengths) for name, v in lists.items()}
    columns["event_label"] = rng.integers(0, len(CLASSES), rows, np.int16)
    columns["event_initial_state"] = np.ones(rows, np.int8)
    columns["event_resonance_mass"] = np.zeros(rows, np.float32)
    return columns


def event_store(path: Path, rows: int) -> Store:
    """Write a store of synthetic events, unless it is there."""
    if not path.exists():
        with StoreWriter(path, SCHEMA, provenance={"source": "benchmark, synthetic"}) as writer:
            for chunk, start in enumerate(range(0, rows, _CHUNK)):
                writer.write(synthetic_events(min(_CHUNK, rows - start), seed=chunk), split="train")
    return Store.open(path)
