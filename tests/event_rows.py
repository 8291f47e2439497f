"""Random events for tests: columns of `hepfm.data.schemas.events.event_schema` as of a simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hepfm.core.ragged import Array, Ragged
from hepfm.data.schemas.events import OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.data.table import Table

PROCESSES = ("ttbar", "Zjets")
_TYPE = {name: number for number, name in enumerate(OBJECT_TYPES)}
_ROLE = {name: number for number, name in enumerate(OBJECT_ROLES)}
_MASS = {"jet": 8.0, "bottom": 4.7, "top": 172.5}

Row = tuple[str, str, int, float, float, int]
"""Type, role, PDG code, charge, b tag, level (0 reconstructed, 1 generator)."""

_TTBAR: tuple[Row, ...] = (
    *(("jet", role, 0, 0.0, 1.0, 0) for role in ("t_b", "tbar_b")),
    ("electron", "t_l", 0, 1.0, 0.0, 0),
    ("muon", "tbar_l", 0, -1.0, 0.0, 0),
    ("met", "none", 0, 0.0, 0.0, 0),
    ("top", "none", 6, 2 / 3, 0.0, 1),
    ("top", "none", -6, -2 / 3, 0.0, 1),
    ("bottom", "t_b", 5, -1 / 3, 0.0, 1),
    ("bottom", "tbar_b", -5, 1 / 3, 0.0, 1),
    ("electron", "t_l", -11, 1.0, 0.0, 1),
    ("muon", "tbar_l", 13, -1.0, 0.0, 1),
    ("neutrino", "t_nu", 12, 0.0, 0.0, 1),
    ("neutrino", "tbar_nu", -14, 0.0, 0.0, 1),
)
_ZJETS: tuple[Row, ...] = (
    ("muon", "z_l", 0, 1.0, 0.0, 0),
    ("muon", "z_l", 0, -1.0, 0.0, 0),
    ("met", "none", 0, 0.0, 0.0, 0),
    ("z", "none", 23, 0.0, 0.0, 1),
    ("muon", "z_l", -13, 1.0, 0.0, 1),
    ("muon", "z_l", 13, -1.0, 0.0, 1),
)


def event_columns(
    num_events: int, *, seed: int = 0, processes: Sequence[str] = PROCESSES
) -> dict[str, Array | Ragged]:
    """Return columns of events of both processes in turn, each with up to four further jets.

    Reconstructed objects come first, and objects of a level stand in falling order of pt. Momenta are random
    and conserve nothing: matched objects have similar momenta, top quarks are no sums of their daughters.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(num_events) % len(processes)
    rows = [_event(rng, processes[number]) for number in label]
    columns: dict[str, Array | Ragged] = {
        name: Ragged.from_lists([row[name] for row in rows], np.dtype(kind))
        for name, kind in (
            *((f"object_{part}", np.float32) for part in ("pt", "eta", "phi", "energy", "charge", "b_tag")),
            *((f"object_{part}", np.int8) for part in ("type", "level", "role")),
            ("object_pdg", np.int32),
        )
    }
    columns["event_label"] = label.astype(np.int16)
    columns["event_initial_state"] = rng.integers(1, 4, num_events).astype(np.int8)
    columns["event_resonance_mass"] = np.zeros(num_events, np.float32)
    return columns


def _event(rng: np.random.Generator, process: str) -> dict[str, list[float]]:
    extra: tuple[Row, ...] = tuple(("jet", "none", 0, 0.0, 0.0, 0) for _ in range(rng.integers(0, 5)))
    objects = [*extra, *(_TTBAR if process == "ttbar" else _ZJETS)]
    shared: dict[str, tuple[float, float, float]] = {}
    rows = [_object(rng, one, shared) for one in objects]
    rows.sort(key=lambda row: (row["object_level"], -row["object_pt"]))
    return {name: [row[name] for row in rows] for name in rows[0]}


def _object(
    rng: np.random.Generator, one: Row, shared: dict[str, tuple[float, float, float]]
) -> dict[str, float]:
    kind, role, pdg, charge, b_tag, level = one
    new = (float(rng.exponential(60) + 20), float(rng.normal(0, 1.2)), float(rng.uniform(-3.1, 3.1)))
    pt, eta, phi = new if role == "none" else shared.setdefault(role, new)
    if kind == "met":
        eta = 0.0
    pt *= float(rng.normal(1, 0.05))
    energy = float(np.hypot(pt * np.cosh(eta), _MASS.get(kind, 0.0)))
    return {
        "object_pt": pt,
        "object_eta": eta,
        "object_phi": phi,
        "object_energy": energy * (1 + 1e-6),
        "object_type": _TYPE[kind],
        "object_level": level,
        "object_charge": charge,
        "object_b_tag": b_tag,
        "object_pdg": pdg,
        "object_role": _ROLE[role],
    }


def event_table(num_events: int, *, seed: int = 0, processes: Sequence[str] = PROCESSES) -> Table:
    """Return the same events as a table."""
    columns = event_columns(num_events, seed=seed, processes=processes)
    return Table.from_dict(columns, event_schema(tuple(processes), truth=True))
