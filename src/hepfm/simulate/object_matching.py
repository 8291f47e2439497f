"""Which reconstructed object a generator object became: roles of reconstructed objects."""

from __future__ import annotations

import numpy as np

from hepfm.simulate.event_objects import TYPE, Objects, distances
from hepfm.simulate.event_pairs import nearest_first
from hepfm.simulate.particles import Bools

STEPS: tuple[dict[str, tuple[str, ...]], ...] = (
    {"electron": ("electron",), "muon": ("muon",), "photon": ("photon",), "tau": ("tau",)},
    {"tau": ("electron", "muon")},
    {"bottom": ("jet",), "quark": ("jet",), "gluon": ("jet",)},
)
"""Types of reconstructed objects by types of generator objects, step after step: electrons and muons that no
generator lepton took may come from a tau's decay."""


def with_matched_roles(reconstructed: Objects, generator: Objects, *, radius: float) -> Objects:
    """Return the reconstructed objects with the roles of the generator objects that they are matched with.

    Of all pairs of fitting types within `radius` the nearest is matched first, then the nearest of the rest:
    no object is matched twice.
    """
    role = reconstructed.role.copy()
    free = np.ones(len(reconstructed), bool)
    for types in STEPS:
        mine = np.flatnonzero(generator.of_type(*types))
        theirs = np.flatnonzero(
            free & reconstructed.of_type(*{one for names in types.values() for one in names})
        )
        i, j, distance = distances(generator.take(mine), reconstructed.take(theirs))
        fits = _fits(types)[generator.type[mine[i]], reconstructed.type[theirs[j]]] & (distance < radius)
        i, j = nearest_first(i[fits], j[fits], distance[fits])
        role[theirs[j]] = generator.role[mine[i]]
        free[theirs[j]] = False
    return reconstructed.with_roles(role)


def _fits(types: dict[str, tuple[str, ...]]) -> Bools:
    """Return the table of types that fit each other."""
    table = np.zeros((len(TYPE), len(TYPE)), bool)
    for name, others in types.items():
        table[TYPE[name], [TYPE[other] for other in others]] = True
    return table
