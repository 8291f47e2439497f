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

_MATCHES = {
    "jet": ("bottom", "quark", "gluon"),
    **{name: (name,) for name in ("electron", "muon", "tau", "photon")},
}
"""Types of generator objects that a type of reconstructed object can be."""


def _fitting() -> npt.NDArray[np.bool_]:
    table = np.zeros((len(OBJECT_TYPES), len(OBJECT_TYPES)), bool)
    for seen, made in _MATCHES.items():
        for name in made:
            table[OBJECT_TYPES.index(seen), OBJECT_TYPES.index(name)] = True
    return table


_FITS = _fitting()


def match(
    seen: Array, made: Array, *, types: tuple[Array, Array], lengths: tuple[Array, Array], radius: float
) -> npt.NDArray[np.int64]:
    """Return the place of the generator object that each reconstructed one is, or `UNMATCHED`.

    Of all pairs of an event that fit by their types and are nearer than `radius`, the nearest is taken, then
    the nearest of the others, and so on: none is in two pairs.

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
    fits = (distance < radius) & _FITS[types[0][one], types[1][other]]
    one, other, distance = one[fits], other[fits], distance[fits]
    order = np.argsort(distance, kind="stable")
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
