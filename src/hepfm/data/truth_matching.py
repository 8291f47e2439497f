"""Which generator object a reconstructed object is: the nearest of its kind within a radius, one to one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.pairs import nearest_first
from hepfm.data.event_objects import ROLE, TYPE, EventObjects, distances

UNMATCHED = -1
MATCH_RADIUS = 0.4
"""Largest distance in eta and phi by default: the radius of small jets."""

_MATCHES: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "jet": ("bottom", "quark", "gluon"),
        **{name: (name,) for name in ("electron", "muon", "tau", "photon")},
    },
    {"electron": ("tau",), "muon": ("tau",)},
)
"""Types of generator objects that a type of reconstructed object can be: first those of its own kind, then,
of electrons and muons that are left, taus that decay to them."""

_NEVER = len(_MATCHES)


def _steps() -> npt.NDArray[np.int8]:
    """Return the step in which types are matched, by reconstructed and generator type."""
    table = np.full((len(TYPE), len(TYPE)), _NEVER, np.int8)
    for step, types in enumerate(_MATCHES):
        for seen, made in types.items():
            table[TYPE[seen], [TYPE[name] for name in made]] = step
    return table


_STEP = _steps()


def match(seen: EventObjects, made: EventObjects, *, radius: float) -> npt.NDArray[np.int64]:
    """Return the place of the generator object that each reconstructed one is, or `UNMATCHED`.

    Of all pairs of an event that fit by their types and are nearer than `radius`, the nearest is taken, then
    the nearest of the others, and so on: none is in two pairs. Electrons and muons that are left may then be
    taus that are left.

    Parameters
    ----------
    seen, made
        Reconstructed and generator objects of the same events.
    radius
        Largest distance in eta and phi.
    """
    one, other, distance = distances(seen, made)
    step = _STEP[seen.type[one], made.type[other]]
    fits = np.flatnonzero((distance < radius) & (step != _NEVER))
    one, other = nearest_first(one[fits], other[fits], step[fits], distance[fits])
    found = np.full(len(seen), UNMATCHED)
    found[one] = other
    return found


def with_matched_roles(seen: EventObjects, made: EventObjects, *, radius: float) -> EventObjects:
    """Return reconstructed objects with the roles of the generator objects that they are; see `match`."""
    found = match(seen, made, radius=radius)
    role = np.full(len(seen), ROLE["none"])
    matched = found != UNMATCHED
    role[matched] = made.role[found[matched]]
    return seen.with_roles(role)
