"""Truth of constituents: what their particles come from, and which of them share a production vertex.

A particle comes from the decays of those of its ancestors that fly before they decay: hadrons and leptons
whose mean decay length at rest, c tau, is above `FLIES`. Of a chain such as B -> D* -> D0 -> K pi, B and D0
fly. Particles without such an ancestor are primary. The vertex of a particle is the decay of the nearest one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.data.schemas.jets import NO_VERTEX, ORIGIN_CLASSES
from hepfm.physics.pdg import TAU, has_quark
from hepfm.simulate.labels import daughters_of
from hepfm.simulate.particles import Bools, Ints
from hepfm.simulate.pythia import Record

FLIES = 1e-3
"""c tau in mm above which a decay has a vertex of its own: that of the charmed baryon with the shortest life
is 0.018 mm, that of the neutral pion, whose decays no detector tells from the primary vertex, 0.000025 mm."""

PRIMARY = -1
"""Stands for the entry whose decay is a particle's vertex, where that is the primary vertex."""

_CLASS = {name: number for number, name in enumerate(ORIGIN_CLASSES)}


@dataclass(frozen=True)
class Origins:
    """Where particles come from.

    Attributes
    ----------
    origin
        Index into `hepfm.data.schemas.jets.ORIGIN_CLASSES`, shape (n,).
    decay
        Entry of the event record whose decay made each, or `PRIMARY`, shape (n,).
    """

    origin: Ints
    decay: Ints


def constituent_truth(
    record: Record,
    entries: Ragged,
    charged: Bools,
    decay_lengths: Callable[[Ints], Array],
) -> Columns:
    """Return the truth fields of the constituents of jets.

    Parameters
    ----------
    record
        The events.
    entries
        Entry in the record of the particle of each constituent, jet after jet.
    charged
        Which constituents are charged, shape (n,); the others have the vertex `NO_VERTEX`.
    decay_lengths
        From codes of particles to c tau in mm.
    """
    origins = origins_of(record, entries.values, decay_lengths)
    vertex = np.full(len(charged), NO_VERTEX)
    vertex[charged] = number_vertices(entries.keep(charged).with_values(origins.decay[charged]))
    return {"part_origin": entries.with_values(origins.origin), "part_vertex": entries.with_values(vertex)}


def origins_of(record: Record, entries: Ints, decay_lengths: Callable[[Ints], Array]) -> Origins:
    """Return where the particles of some entries come from.

    From the ancestors that fly: ``b``, ``c`` or ``b_to_c`` (a charmed one with a beauty one before it) by the
    nearest with a heavy quark; without any, ``tau``; without that, ``strange``; else ``other``.

    Raises
    ------
    DataError
        When an entry of the record is its own ancestor.
    """
    parent, flies = parents(record), _flying(record, decay_lengths)
    beauty, charm, strange = (has_quark(record.pdg, quark) & flies for quark in (5, 4, 3))
    charm &= ~beauty
    strange &= ~(beauty | charm)
    tau = (np.abs(record.pdg) == TAU) & flies
    found = {name: np.zeros(len(entries), bool) for name in ("b", "c", "tau", "strange")}
    heavy_is_charm = np.zeros(len(entries), bool)
    decay = np.full(len(entries), PRIMARY)
    here, ancestor = np.arange(len(entries)), parent[entries]
    for _ in range(len(record.pdg) + 1):
        here, ancestor = here[ancestor >= 0], ancestor[ancestor >= 0]
        if not len(here):
            break
        first = flies[ancestor] & (decay[here] == PRIMARY)
        decay[here[first]] = ancestor[first]
        heavy_is_charm[here] |= charm[ancestor] & ~found["b"][here]
        for name, kind in (("b", beauty), ("c", charm), ("tau", tau), ("strange", strange)):
            found[name][here] |= kind[ancestor]
        ancestor = parent[ancestor]
    else:
        raise DataError("an entry of the event record is its own ancestor; the event file is damaged")
    conditions = {
        "b_to_c": found["b"] & heavy_is_charm,
        "b": found["b"],
        "c": found["c"],
        "tau": found["tau"],
        "strange": found["strange"],
        "other": decay != PRIMARY,
    }
    origin = np.select(
        list(conditions.values()), [_CLASS[name] for name in conditions], default=_CLASS["primary"]
    )
    return Origins(origin, decay)


def parents(record: Record) -> Ints:
    """Return for each entry one that has it among its daughters, as an index into the arrays; -1 without.

    Of the many partons of a string, whose hadrons are daughters of each, it is the last.
    """
    parent = np.full(len(record.pdg), -1)
    index = np.flatnonzero(record.daughter1 > 0)
    owner, daughter = daughters_of(record, index, index)
    parent[daughter] = owner
    return parent


def _flying(record: Record, decay_lengths: Callable[[Ints], Array]) -> Bools:
    """Tell which entries fly and then decay; an entry with a daughter of its own kind is a copy."""
    codes, inverse = np.unique(record.pdg, return_inverse=True)
    flies = (decay_lengths(codes) > FLIES)[inverse] & (record.daughter1 > 0)
    index = np.flatnonzero(flies)
    owner, daughter = daughters_of(record, index, index)
    flies[owner[record.pdg[daughter] == record.pdg[owner]]] = False
    return flies


def number_vertices(decays: Ragged) -> Ints:
    """Return numbers of the vertices within each row: 0 the primary one, the others by their first particle.

    >>> number_vertices(Ragged.from_lists([[7, -1, 9, 7], [9]], dtype=int)).tolist()
    [1, 0, 2, 1, 1]
    """
    row, decay = decays.row_index(), decays.values
    pairs = np.stack([row, decay], axis=1)
    _, first, inverse = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    secondary = np.sort(first[decay[first] != PRIMARY])
    before = np.searchsorted(row[secondary], row[secondary], side="left")
    number = np.zeros(len(decay), np.int64)
    number[secondary] = np.arange(len(secondary)) - before + 1
    return number[first][inverse.reshape(-1)]
