"""Events of two hadronic top quarks with perfectly measured jets, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.ragged import Ragged
from hepfm.data.schemas.events import OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

EVENTS = 400
MASSES = {"t": 172.5, "w": 80.4, "b": 4.8}


def decay(rng: np.random.Generator, parent: np.ndarray, masses: tuple[float, float]) -> list[np.ndarray]:
    """Return the momenta (E, px, py, pz) of two particles that a particle decays to, isotropically."""
    energy, momentum = parent[0], parent[1:]
    mass = np.sqrt(energy**2 - momentum @ momentum)
    first = (mass**2 + masses[0] ** 2 - masses[1] ** 2) / (2 * mass)
    direction = rng.normal(size=3)
    p = np.sqrt(first**2 - masses[0] ** 2) * direction / np.linalg.norm(direction)
    boost, gamma = momentum / energy, energy / mass
    boosted = []
    for e, q in ((first, p), (mass - first, -p)):
        along = boost @ q
        factor = gamma * e + gamma**2 / (gamma + 1) * along
        boosted.append(np.array([gamma * (e + along), *(q + factor * boost)]))
    return boosted


def top_jets(rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    momentum = rng.normal(0, 100, 3)
    top = np.array([np.sqrt(MASSES["t"] ** 2 + momentum @ momentum), *momentum])
    b, w = decay(rng, top, (MASSES["b"], MASSES["w"]))
    return {"b": [b], "q": decay(rng, w, (0.0, 0.0))}


def events(extra: tuple[int, int] = (0, 3), *, seed: int = 0, lose: float = 0.0) -> dict[str, Any]:
    """Return columns of top quark pairs with perfectly measured jets and some others; some jets are lost."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[list[float]]] = {name: [] for name in ("p4", "role", "b_tag")}
    for _ in range(EVENTS):
        jets = [
            (p4, f"{top}_{kind}")
            for top in ("t", "tbar")
            for kind, several in top_jets(rng).items()
            for p4 in several
            if rng.uniform() >= lose
        ]
        for _ in range(rng.integers(*extra) if extra[1] else 0):
            momentum = rng.normal(0, 60, 3)
            jets.append((np.array([np.linalg.norm(momentum), *momentum]), "none"))
        jets.sort(key=lambda jet: -np.hypot(*jet[0][1:3]))
        rows["p4"].append([jet[0] for jet in jets])  # type: ignore[arg-type]
        rows["role"].append([OBJECT_ROLES.index(jet[1]) for jet in jets])
        rows["b_tag"].append([float(jet[1].endswith("_b")) for jet in jets])
    lengths = np.array([len(row) for row in rows["p4"]])
    e, px, py, pz = np.concatenate([np.array(row).reshape(-1, 4) for row in rows["p4"]]).T
    pt = np.hypot(px, py)
    values = {
        "object_pt": pt,
        "object_eta": np.arcsinh(pz / pt),
        "object_phi": np.arctan2(py, px),
        "object_energy": np.maximum(e, np.hypot(pt, pz)) * (1 + 1e-6),
        "object_type": np.full(len(pt), OBJECT_TYPES.index("jet"), np.int8),
        "object_level": np.zeros(len(pt), np.int8),
        "object_charge": np.zeros(len(pt)),
        "object_b_tag": np.concatenate([np.array(row) for row in rows["b_tag"]]),
        "object_pdg": np.zeros(len(pt), np.int32),
        "object_role": np.concatenate([np.array(row) for row in rows["role"]]).astype(np.int8),
    }
    columns: dict[str, Any] = {
        name: Ragged.from_lengths(v.astype(np.float32) if v.dtype == np.float64 else v, lengths)
        for name, v in values.items()
    }
    columns["event_label"] = np.zeros(EVENTS, np.int16)
    columns["event_initial_state"] = np.ones(EVENTS, np.int8)
    columns["event_resonance_mass"] = np.zeros(EVENTS, np.float32)
    return columns


def store_of(path: Path, columns: dict[str, Any]) -> Store:
    schema = event_schema(("ttbar",), truth=True)
    return Store.open(write_store(path, schema, [("test", columns)], provenance={"source": "test"}))
