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

from hepfm.data.schemas.events import INITIAL_STATES, OBJECT_ROLES, OBJECT_TYPES
from hepfm.physics.kinematics import pseudorapidity
from hepfm.physics.pdg import (
    ELECTRON,
    GLUON,
    HIGGS,
    MUON,
    NEUTRINOS,
    PHOTON,
    QUARKS,
    TAU,
    TOP,
    W_BOSON,
    Z_BOSON,
)
from hepfm.simulate.event_objects import ROLE, TYPE, Objects, make_objects
from hepfm.simulate.labels import daughters_of, last_copy
from hepfm.simulate.particles import Bools, Floats, Ints
from hepfm.simulate.pythia import Record

INCOMING, RESONANCE, OUTGOING = 21, 22, 23
"""|status| in Pythia's record of the particles of the hard process, of decays of its resonances too."""

BOTTOM = 5
LARGEST_ETA = 20.0
"""The direction of a particle along the beam: its pt is not quite 0, so that eta is finite and pz right."""

_TYPES: dict[int, str] = {
    **dict.fromkeys((1, 2, 3, 4), "quark"),
    BOTTOM: "bottom",
    GLUON: "gluon",
    PHOTON: "photon",
    ELECTRON: "electron",
    MUON: "muon",
    TAU: "tau",
    **dict.fromkeys(NEUTRINOS, "neutrino"),
    TOP: "top",
    W_BOSON: "w",
    Z_BOSON: "z",
    HIGGS: "higgs",
}
_DAUGHTERS = {
    "bottom": "b",
    "quark": "q",
    "gluon": "g",
    "electron": "l",
    "muon": "l",
    "tau": "tau",
    "neutrino": "nu",
    "photon": "photon",
}
"""How the names of roles end, by type; resonances have no role themselves."""

RESONANCES = tuple(dict.fromkeys(role.partition("_")[0] for role in OBJECT_ROLES if role != "none"))
"""How the names of roles begin."""

_ROLE_TABLE = np.array(
    [[ROLE.get(f"{one}_{_DAUGHTERS.get(name)}", ROLE["none"]) for name in OBJECT_TYPES] for one in RESONANCES]
)
"""Role by resonance and type of the daughter."""


@dataclass(frozen=True)
class HardTree:
    """Particles of the hard process of some events and the resonances that they come from.

    Attributes
    ----------
    entry
        Their entries in the record, shape (n,): of resonances the last copies.
    parent
        Of each the resonance that decayed to it, as an index into the particles; -1 for none.
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
    parent = np.full(len(first), -1)
    known = place[daughter] >= 0
    parent[place[daughter[known]]] = owner[known]
    return HardTree(entry, parent)


def generator_objects(record: Record, charges: Callable[[Ints], Floats]) -> Objects:
    """Return the particles of the hard process with their roles.

    Parameters
    ----------
    record
        The events.
    charges
        From particle codes to charges.
    """
    tree = hard_tree(record)
    pdg = record.pdg[tree.entry].astype(np.int64)
    px, py, pz = record.px[tree.entry], record.py[tree.entry], record.pz[tree.entry]
    pt = np.maximum(np.hypot(px, py), np.abs(pz) / np.sinh(LARGEST_ETA))
    kinematics = pt, pseudorapidity(pt, np.zeros(len(pt)), pz), np.arctan2(py, px), record.energy[tree.entry]
    event = record.event_of(tree.entry)
    types = _types(pdg)
    return make_objects(
        event,
        kinematics,
        types,
        level="generator",
        pdg=pdg,
        charge=charges(pdg),
        role=_roles(tree, pdg, types, pt, event),
    )


def _types(pdg: Ints) -> Ints:
    code = np.abs(pdg)
    types = np.full(len(code), TYPE["other"])
    for number, name in _TYPES.items():
        types[code == number] = TYPE[name]
    return types


def _outermost(tree: HardTree, chosen: Bools) -> Ints:
    """Return for each particle the last of the chosen particles on the way to the hard collision, itself not
    counted; -1 for none."""
    found, above = np.full(len(tree.parent), -1), tree.parent
    while (above >= 0).any():
        found = np.where((above >= 0) & chosen[above], above, found)
        above = np.where(above >= 0, tree.parent[above], -1)
    return found


def _roles(tree: HardTree, pdg: Ints, types: Ints, pt: Floats, event: Ints) -> Ints:
    """Return the role of each particle; see `hepfm.data.schemas.events.OBJECT_ROLES`."""
    code = np.abs(pdg)
    known = np.isin(code, (TOP, W_BOSON, Z_BOSON, HIGGS))
    outermost = _outermost(tree, known)
    owner = np.where(outermost >= 0, outermost, tree.parent)
    # A b quark of the W of a top is one of the quarks of that W: t_b is the one beside the W.
    of_inner_w = (tree.parent >= 0) & (code[tree.parent] == W_BOSON) & (owner != tree.parent)
    daughter = np.where(of_inner_w & (types == TYPE["bottom"]), TYPE["quark"], types)
    names = _resonance_names(code, pdg > 0, known & (outermost < 0), pt, event)
    return np.where(owner >= 0, _ROLE_TABLE[names[owner], daughter], ROLE["none"])


def _resonance_names(code: Ints, particle: Bools, outer: Bools, pt: Floats, event: Ints) -> Ints:
    """Return which of `RESONANCES` each particle is; `outer` are those that come from no other."""
    second = np.zeros(len(code), bool)
    for boson in (W_BOSON, Z_BOSON):
        rows = np.flatnonzero(outer & (code == boson))
        rows = rows[np.lexsort((-pt[rows], event[rows]))]
        second[rows[1:]] = np.diff(event[rows]) == 0
    cases = {
        "t": (code == TOP) & particle,
        "tbar": code == TOP,
        "h": code == HIGGS,
        "w2": (code == W_BOSON) & second,
        "w": code == W_BOSON,
        "z2": (code == Z_BOSON) & second,
        "z": code == Z_BOSON,
    }
    return np.select(list(cases.values()), [RESONANCES.index(name) for name in cases], RESONANCES.index("x"))


def initial_states(record: Record) -> Ints:
    """Return which of `INITIAL_STATES` the hard process of each event has, shape (events,)."""
    incoming = np.flatnonzero(record.status == -INCOMING)
    event = record.event_of(incoming)
    number = np.arange(len(event)) - np.searchsorted(event, event)
    a, b = np.zeros((2, record.num_events), np.int64)  # of soft collisions there are none
    for partons, place in ((a, 0), (b, 1)):
        these = number == place
        partons[event[these]] = record.pdg[incoming[these]]
    quarks = [np.isin(np.abs(code), QUARKS) for code in (a, b)]
    gluons = [code == GLUON for code in (a, b)]
    cases = {
        "gg": gluons[0] & gluons[1],
        "qg": (quarks[0] & gluons[1]) | (gluons[0] & quarks[1]),
        "qqbar": quarks[0] & (a == -b),
        "qq": quarks[0] & quarks[1],
    }
    return np.select(list(cases.values()), [INITIAL_STATES.index(name) for name in cases], 0)
