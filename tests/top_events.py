"""Events of top pairs for tests: the exact decays of `top_decays`, and what a detector might see of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from top_decays import TopPairs, top_pairs

from hepfm.core.ragged import Array, Ragged
from hepfm.data.schemas.events import OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

CLASSES = ("tt",)
_KINDS = (("bottom", "b"), ("electron", "l"), ("neutrino", "nu"))
_PDG = {"bottom": (5, -5), "electron": (-11, 11), "neutrino": (12, -12)}
_CHARGE = {"bottom": (-1 / 3, 1 / 3), "electron": (1.0, -1.0), "neutrino": (0.0, 0.0)}


def top_columns(pairs: TopPairs, *, smear: float = 0.0, seed: int = 0) -> dict[str, Array | Ragged]:
    """Return the columns of events: two b jets, two leptons, missing momentum, and six generator particles.

    Parameters
    ----------
    pairs
        R decays.
    smear
        Relative spread of the jets' momenta; what it adds to them is missing from the missing momentum.
    seed
        Of the smearing.
    """
    rng = np.random.default_rng(seed)
    rows = len(pairs.bottoms)
    jets = pairs.bottoms * (1 + smear * rng.normal(size=(rows, 2, 1)))
    missing = pairs.missing - (jets - pairs.bottoms)[..., 1:3].sum(1)
    met = np.concatenate([np.hypot(*missing.T)[:, None], missing, np.zeros((rows, 1))], axis=1)[:, None]
    seen = [
        _objects(jets, "jet", "b", reconstructed=True),
        _objects(pairs.leptons, "electron", "l", reconstructed=True),
        _objects(met, "met", None, reconstructed=True),
    ]
    momenta = (pairs.bottoms, pairs.leptons, pairs.neutrinos)
    made = [_objects(p, *kind, reconstructed=False) for p, kind in zip(momenta, _KINDS, strict=True)]
    columns = {name: _joined(seen, made, name) for name in seen[0]}
    lengths = np.full(rows, 11)
    return {
        "event_label": np.zeros(rows, np.int16),
        "event_initial_state": (np.arange(rows) % 2 * 2 + 1).astype(np.int8),
        "event_resonance_mass": np.zeros(rows, np.float32),
        **{name: Ragged.from_lengths(values.ravel(), lengths) for name, values in columns.items()},
    }


def _objects(momenta: Array, kind: str, daughter: str | None, *, reconstructed: bool) -> dict[str, Array]:
    """Return the fields of the objects of one kind, (R, K) each."""
    pt = np.hypot(momenta[..., 1], momenta[..., 2])
    shape = pt.shape
    number = np.arange(shape[1])
    roles = [OBJECT_ROLES.index(f"{top}_{daughter}" if daughter else "none") for top in ("t", "tbar")]

    def of_each(values: Array | list[float], dtype: str) -> Array:
        return np.broadcast_to(np.asarray(values, dtype)[number], shape)

    return {
        "object_pt": pt.astype(np.float32),
        "object_eta": np.arcsinh(momenta[..., 3] / pt).astype(np.float32),
        "object_phi": np.arctan2(momenta[..., 2], momenta[..., 1]).astype(np.float32),
        "object_energy": momenta[..., 0].astype(np.float32),
        "object_type": np.full(shape, OBJECT_TYPES.index(kind), np.int8),
        "object_level": np.full(shape, 0 if reconstructed else 1, np.int8),
        "object_charge": of_each(_CHARGE.get(kind, (0.0, 0.0)), "float32"),
        "object_b_tag": np.full(shape, 1.0 if kind == "jet" else 0.0, np.float32),
        "object_pdg": of_each((0, 0) if reconstructed else _PDG[kind], "int32"),
        "object_role": of_each(roles, "int8"),
    }


def _joined(seen: list[dict[str, Array]], made: list[dict[str, Array]], name: str) -> Array:
    """Return a field of all objects, (R, N), in falling order of pt in each level."""
    parts = []
    for level in (seen, made):
        order = np.argsort(-np.concatenate([one["object_pt"] for one in level], axis=1), axis=1)
        parts.append(np.take_along_axis(np.concatenate([one[name] for one in level], axis=1), order, axis=1))
    return np.concatenate(parts, axis=1)


def top_store(path: Path, sizes: dict[str, int], *, smear: float = 0.1) -> Store:
    """Write a store of top pairs with the splits asked for."""
    shards = [
        (split, top_columns(top_pairs(size, seed=seed), smear=smear, seed=seed))
        for seed, (split, size) in enumerate(sizes.items())
    ]
    write_store(path, event_schema(CLASSES, truth=True), shards, provenance={"source": "decays"})
    return Store.open(path)
