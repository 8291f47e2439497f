"""Which generator object a reconstructed object is: the nearest of its kind within a radius, one to one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, entry_pairs
from hepfm.data.schemas.events import OBJECT_TYPES
from hepfm.physics.kinematics import delta_r

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
    table = np.full((len(OBJECT_TYPES), len(OBJECT_TYPES)), _NEVER, np.int8)
    for step, types in enumerate(_MATCHES):
        for seen, made in types.items():
            for name in made:
                table[OBJECT_TYPES.index(seen), OBJECT_TYPES.index(name)] = step
    return table


_STEP = _steps()


def match(
    seen: Array, made: Array, *, types: tuple[Array, Array], lengths: tuple[Array, Array], radius: float
) -> npt.NDArray[np.int64]:
    """Return the place of the generator object that each reconstructed one is, or `UNMATCHED`.

    Of all pairs of an event that fit by their types and are nearer than `radius`, the nearest is taken, then
    the nearest of the others, and so on: none is in two pairs. Electrons and muons that are left may then be
    taus.

    Parameters
    ----------
    seen, made
        eta and phi of reconstructed and of generator objects, event after event, (2, n) and (2, m).
    types
        Numbers of `OBJECT_TYPES` of both.
    lengths
        How many of both each event has.
    radius
        Largest distance in eta and phi.
    """
    one, other = entry_pairs(*lengths)
    distance = delta_r(seen[0][one], seen[1][one], made[0][other], made[1][other])
    step = _STEP[types[0][one], types[1][other]]
    fits = (distance < radius) & (step != _NEVER)
    one, other, distance, step = one[fits], other[fits], distance[fits], step[fits]
    order = np.lexsort((distance, step))
    one, other = one[order], other[order]
    found = np.full(seen.shape[1], UNMATCHED)
    while len(one):
        # The nearest pair of either of its objects is the nearest that is left of both.
        first = np.zeros(len(one), bool)
        first[
            np.intersect1d(np.unique(one, return_index=True)[1], np.unique(other, return_index=True)[1])
        ] = True
        found[one[first]] = other[first]
        left = ~np.isin(one, one[first]) & ~np.isin(other, other[first])
        one, other = one[left], other[left]
    return found
