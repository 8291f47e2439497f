"""Generator level: particles of the hard process after the decays of its resonances, and their roles.

Resonances (top, W, Z, Higgs, and what is beyond the Standard Model) are as they are when they decay, after
the recoil against radiation; all else is as produced, before its own radiation. So the daughters of a
resonance add up to it exactly, but for a resonance among them, which its own recoil has moved since. Taus do
not count as resonances: their decays belong to hadronisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepfm.data import hard_process
from hepfm.data.event_objects import EventObjects, make_objects
from hepfm.data.hard_process import LARGEST_ETA, NO_MOTHER
from hepfm.physics.kinematics import pseudorapidity
from hepfm.simulate.labels import daughters_of, last_copy
from hepfm.simulate.particles import Floats, Ints
from hepfm.simulate.pythia import Record

INCOMING, RESONANCE, OUTGOING = 21, 22, 23
"""|status| in Pythia's record of the particles of the hard process, of decays of its resonances too."""


@dataclass(frozen=True)
class HardTree:
    """Particles of the hard process of some events and the resonances that they come from.

    Attributes
    ----------
    entry
        Their entries in the record, shape (n,): of resonances the last copies.
    parent
        Of each the resonance that decayed to it, as an index into the particles; `NO_MOTHER` for none.
    """

    entry: Ints
    parent: Ints


def hard_tree(record: Record) -> HardTree:
    """Find the particles of the hard process, event after event."""
    status = np.abs(record.status)
    first = np.flatnonzero((status == RESONANCE) | (status == OUTGOING))
    decays = record.status[first] == -RESONANCE
    entry = first.copy()
    entry[decays] = last_copy(record, first[decays])
    place = np.full(len(record.pdg), -1)
    place[first] = np.arange(len(first))
    resonances = np.flatnonzero(decays)
    owner, daughter = daughters_of(record, resonances, entry[resonances])
    parent = np.full(len(first), NO_MOTHER)
    known = place[daughter] >= 0
    parent[place[daughter[known]]] = owner[known]
    return HardTree(entry, parent)


def generator_objects(record: Record, charges: Callable[[Ints], Floats]) -> EventObjects:
    """Return the particles of the hard process with their roles; see `hepfm.data.hard_process`.

    Parameters
    ----------
    record
        The events.
    charges
        From particle codes to charges.
    """
    tree = hard_tree(record)
    found = hard_process.hard_process(
        record.pdg[tree.entry],
        tree.parent,
        np.ones(len(tree.entry), bool),
        event=record.event_of(tree.entry),
        pt=np.hypot(record.px[tree.entry], record.py[tree.entry]),
    )
    entry = tree.entry[found.place]
    pdg = record.pdg[entry].astype(np.int64)
    px, py, pz = record.px[entry], record.py[entry], record.pz[entry]
    # Along the beam pt is not quite 0, so that eta is finite and pz right.
    pt = np.maximum(np.hypot(px, py), np.abs(pz) / np.sinh(LARGEST_ETA))
    kinematics = pt, pseudorapidity(pt, np.zeros(len(pt)), pz), np.arctan2(py, px), record.energy[entry]
    truth = {"pdg": pdg, "charge": charges(pdg), "role": found.role}
    event = record.event_of(entry)
    return make_objects(event, kinematics, found.type, level="generator", **truth)


def initial_states(record: Record) -> Ints:
    """Return which of `INITIAL_STATES` the hard process of each event has, shape (events,)."""
    incoming = np.flatnonzero(record.status == -INCOMING)
    event = record.event_of(incoming)
    number = np.arange(len(event)) - np.searchsorted(event, event)
    partons = np.zeros((2, record.num_events), np.int64)  # of soft collisions there are none
    for one in range(2):
        partons[one, event[number == one]] = record.pdg[incoming[number == one]]
    return hard_process.initial_states(*partons)
