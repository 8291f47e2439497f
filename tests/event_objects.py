"""Objects of events by hand, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from hepfm.data.event_objects import ROLE, EventObjects, make_objects, merge_objects
from hepfm.data.schemas.events import OBJECT_TYPES

_REST: tuple[Any, ...] = (0.0, "none", "reconstructed")


def objects(*rows: tuple[Any, ...]) -> EventObjects:
    """Return objects from (event, type, pt, eta, phi[, charge[, role, level]])."""
    made = []
    for event, kind, pt, eta, phi, *rest in rows:
        charge, role, level = (*rest, *_REST[len(rest) :])
        pt, eta, phi, energy = (np.array([float(one)]) for one in (pt, eta, phi, pt * np.cosh(eta)))
        extra = {"charge": np.array([float(charge)]), "role": np.array([ROLE[role]])}
        made.append(make_objects(np.array([event]), (pt, eta, phi, energy), kind, level=level, **extra))
    return merge_objects(*made)


def types(found: EventObjects) -> list[str]:
    """Return the names of their types."""
    return [OBJECT_TYPES[kind] for kind in found.type]
