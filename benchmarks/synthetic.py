"""Synthetic jets with JetClass's multiplicity (mean 39.4, standard deviation 15.1, at most 128)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter

KINEMATICS = jet_schema(JETCLASS_CLASSES, identity=False, tracks=False, substructure=False)
FULL = jet_schema(JETCLASS_CLASSES)
_CHUNK = 10_000


def synthetic_jets(rows: int, *, seed: int = 0, full: bool = False) -> dict[str, Any]:
    """Return jets: exponential momenta in a cone; what else `full` adds means nothing."""
    rng = numpy_generator(seed, "benchmark.jets")
    lengths = np.clip(rng.normal(39.4, 15.1, rows), 1, 128).astype(np.int64)
    total = int(lengths.sum())
    row = np.repeat(np.arange(rows), lengths)
    pt = rng.exponential(15.0, total) + 0.5
    pt = pt[np.lexsort((-pt, row))]
    eta, phi = rng.normal(0, 0.2, (2, total))
    lists = {"part_pt": pt, "part_eta": eta, "part_phi": phi, "part_energy": pt * np.cosh(eta)}
    jet_pt = np.bincount(row, pt, minlength=rows)
    columns = {"jet_pt": jet_pt, "jet_eta": 0 * jet_pt, "jet_phi": 0 * jet_pt, "jet_energy": 1.05 * jet_pt}
    if full:
        lists["part_charge"] = rng.integers(-1, 2, total)  # ingest looks whether charges can be such
        for name in ("part_d0", "part_d0_error", "part_dz", "part_dz_error"):
            lists[name] = rng.random(total)
        columns |= {name: rng.random(rows) + 0.1 for name in FULL.names() if name not in _NOT_DRAWN}
    made: dict[str, Any] = {name: values.astype(np.float32) for name, values in columns.items()}
    made["jet_label"] = rng.integers(0, len(JETCLASS_CLASSES), rows, np.int16)
    for name, values in lists.items():
        made[name] = Ragged.from_lengths(values.astype(np.float32), lengths)
    if full:
        made["part_pid"] = Ragged.from_lengths(rng.integers(0, len(PID_CLASSES), total, np.int8), lengths)
    return made


_NOT_DRAWN = {"jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_label"} | {
    name for name in FULL.names() if name.startswith("part_")
}


def synthetic_store(path: Path, rows: int, *, split: str = "train", full: bool = False) -> Store:
    """Write a store of synthetic jets, unless it is there."""
    if not path.exists():
        with StoreWriter(
            path, FULL if full else KINEMATICS, provenance={"source": "benchmark, synthetic"}
        ) as writer:
            for chunk, start in enumerate(range(0, rows, _CHUNK)):
                writer.write(synthetic_jets(min(_CHUNK, rows - start), seed=chunk, full=full), split=split)
    return Store.open(path)
