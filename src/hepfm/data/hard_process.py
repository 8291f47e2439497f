"""The hard process of events from a generator's record: which particles are objects, of what type and role.

A record is flat arrays of the particles of all events: their codes, and for each the place of its mother in
the same arrays, as NanoAOD, Delphes and Pythia keep them. It may hold a particle several times, as it was
before and after it radiated (its copies); the mother of a copy is the copy before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.data.schemas.events import INITIAL_STATES, OBJECT_ROLES, OBJECT_TYPES
from hepfm.physics.pdg import (
    BOTTOM,
    CHARGED_LEPTONS,
    GLUON,
    HIGGS,
    NEUTRINOS,
    PHOTON,
    TOP,
    W_BOSON,
    Z_BOSON,
)

NO_MOTHER = -1
"""In place of a mother."""

LARGEST_ETA = 20.0
"""The direction of a particle along the beam: finite, and small enough for its momentum to be right."""

_TYPES = {
    **dict(zip(CHARGED_LEPTONS, ("electron", "muon", "tau"), strict=True)),
    **dict.fromkeys(NEUTRINOS, "neutrino"),
    **dict.fromkeys((1, 2, 3, 4), "quark"),
    PHOTON: "photon",
    BOTTOM: "bottom",
    GLUON: "gluon",
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
"""What a type of object is called in its role."""
_NUMBER = {name: number for number, name in enumerate(OBJECT_TYPES)}
_RESONANCES = tuple(_NUMBER[name] for name in ("top", "w", "z", "higgs", "other"))
_NAMES = tuple(dict.fromkeys(role.split("_")[0] for role in OBJECT_ROLES[1:]))
"""What resonances are called in roles."""
_NONE = OBJECT_ROLES.index("none")


def object_types(pdg: Array) -> npt.NDArray[np.int8]:
    """Return the type of generator objects by their codes, as numbers of `OBJECT_TYPES`; ``other`` for codes
    that are none of the Standard Model's elementary particles.

    >>> [OBJECT_TYPES[number] for number in object_types(np.array([-5, 24, 13, 9900012]))]
    ['bottom', 'w', 'muon', 'other']
    """
    code = np.abs(np.asarray(pdg).astype(np.int64))
    types = np.full(code.shape, _NUMBER["other"], np.int8)
    for known, name in _TYPES.items():
        types[code == known] = _NUMBER[name]
    return types


def object_charges(pdg: Array) -> npt.NDArray[np.float32]:
    """Return the charge in units of e of generator objects; 0 for those beyond the Standard Model.

    >>> object_charges(np.array([6, -5, 11, -24, 22])).round(3).astype(str).tolist()
    ['0.667', '0.333', '-1.0', '-1.0', '0.0']
    """
    code = np.abs(np.asarray(pdg).astype(np.int64))
    up, down = np.isin(code, (2, 4, 6)), np.isin(code, (1, 3, 5))
    unit = up * 2 / 3 - down / 3 - np.isin(code, CHARGED_LEPTONS) + (code == W_BOSON)
    return np.asarray(np.sign(pdg) * unit, np.float32)


def initial_states(first: Array, second: Array) -> npt.NDArray[np.int8]:
    """Return the class of `INITIAL_STATES` of events by the codes of both incoming partons.

    >>> states = initial_states(np.array([21, -1, 2, 2]), np.array([21, 1, 2, 21]))
    >>> [INITIAL_STATES[number] for number in states]
    ['gg', 'qqbar', 'qq', 'qg']
    """
    pair = np.stack([np.asarray(first), np.asarray(second)]).astype(np.int64)
    gluon = (pair == GLUON).sum(axis=0)
    quark = ((np.abs(pair) >= 1) & (np.abs(pair) <= TOP)).sum(axis=0)
    states = np.full(pair.shape[1], INITIAL_STATES.index("other"), np.int8)
    states[gluon == 2] = INITIAL_STATES.index("gg")
    states[(gluon == 1) & (quark == 1)] = INITIAL_STATES.index("qg")
    both = quark == 2
    states[both] = INITIAL_STATES.index("qq")
    states[both & (pair[0] == -pair[1])] = INITIAL_STATES.index("qqbar")
    return states


@dataclass(frozen=True)
class HardObjects:
    """The particles of a record that are objects, in the order of the record.

    Attributes
    ----------
    place
        Their places in the record, (objects,).
    type, role
        Numbers of `OBJECT_TYPES` and `OBJECT_ROLES`, int8, (objects,).
    """

    place: Array
    type: npt.NDArray[np.int8]
    role: npt.NDArray[np.int8]


def hard_process(pdg: Array, mother: Array, hard: Array, *, event: Array, pt: Array) -> HardObjects:
    """Return the objects of the hard process of events.

    Leptons, neutrinos, photons, quarks and gluons are taken as they leave the hard process, before they
    radiate, and resonances (t, W, Z, H, particles beyond the Standard Model) as they decay. The role
    of a final particle follows from the outermost resonance of the Standard Model among its ancestors, or,
    without one, from a particle beyond it; resonances have none. A b quark of the W of a top quark is one of
    the quarks of that W, so that there is one ``t_b`` beside them. Top quarks of one sign have the same roles
    where there are several, and so have Higgs bosons; a third W or Z of an event gives no role.

    Parameters
    ----------
    pdg, mother
        Code, and place of the mother in these arrays or `NO_MOTHER`, (n,) each.
    hard
        Which particles leave the hard process, resonances and their decay products among them: in Pythia's
        record those of status 22 and 23. Incoming partons do not, boolean, (n,).
    event
        Number of the event, not falling, (n,); messages call it the row.
    pt
        Transverse momentum, by which a second W or Z is told from the first, (n,).

    Raises
    ------
    DataError
        When a mother is outside of the record or in another event, or a particle is its own ancestor.
    """
    record = _Record(np.asarray(pdg).astype(np.int64), np.asarray(mother).astype(np.int64), event)
    hard = np.asarray(hard, bool)
    resonance = np.isin(record.types, _RESONANCES)
    of_hard_chain = np.zeros(len(hard), bool)
    of_hard_chain[record.first[hard]] = True
    decaying = resonance & of_hard_chain[record.first] & record.last
    leaving = hard & ~resonance & ~(record.is_copy & hard[record.mother])
    place = np.flatnonzero(decaying | leaving)
    known = resonance & of_hard_chain[record.first]
    role = np.where(resonance[place], _NONE, record.roles(place, known, np.asarray(pt, np.float64)))
    return HardObjects(place, record.types[place], role.astype(np.int8))


class _Record:
    """A generator's record, with the copies of its particles.

    Attributes
    ----------
    types
        Numbers of `OBJECT_TYPES`.
    is_copy, last
        Whether the mother is the same particle, and whether no daughter is.
    first
        Place of the first copy.
    """

    def __init__(self, pdg: Array, mother: Array, event: Array) -> None:
        self.pdg, self.mother, self.event = pdg, mother, event
        self._check()
        self.types = object_types(pdg)
        self.is_copy = (mother >= 0) & (pdg[mother] == pdg)
        self.last = np.ones(len(pdg), bool)
        self.last[mother[self.is_copy]] = False
        self.first = np.where(self.is_copy, mother, np.arange(len(pdg)))
        while not np.array_equal(jumped := self.first[self.first], self.first):
            self.first = jumped

    def _check(self) -> None:
        """Refuse mothers that cannot be; twice as many generations are looked at in each step."""
        outside = (self.mother < NO_MOTHER) | (self.mother >= len(self.pdg))
        has = ~outside & (self.mother >= 0)
        outside[has] = self.event[self.mother[has]] != self.event[has]
        if outside.any():
            first = int(np.argmax(outside))
            raise DataError(
                f"row {self.event[first]}: particle {first} of the generator's record has a mother outside "
                "of its event"
            )
        above = self.mother
        for _ in range(len(self.pdg).bit_length()):
            above = np.where(above >= 0, above[above], NO_MOTHER)
        if (above >= 0).any():
            event = self.event[int(np.argmax(above >= 0))]
            raise DataError(f"row {event}: a particle of the generator's record is its own ancestor")

    def roles(self, place: Array, known: Array, pt: Array) -> Array:
        """Return the role of each particle by the `known` resonances among its ancestors."""
        outermost, beyond = (np.full(len(place), NO_MOTHER) for _ in range(2))
        above = self.mother[place]
        while (above >= 0).any():
            met = (above >= 0) & known[above]
            other = self.types[above] == _NUMBER["other"]
            outermost = np.where(met & ~other, self.first[above], outermost)
            beyond = np.where(met & other, self.first[above], beyond)
            above = np.where(above >= 0, self.mother[above], NO_MOTHER)
        of = np.where(outermost >= 0, outermost, beyond)
        types = np.where(self._of_inner_w(place, of), _NUMBER["quark"], self.types[place])
        resonance = np.full(len(of), -1)
        found = np.flatnonzero(of >= 0)
        roots, inverse = np.unique(of[found], return_inverse=True)
        resonance[found] = self._resonances(roots, pt)[inverse]
        return np.asarray(_ROLES[types, resonance])

    def _of_inner_w(self, place: Array, outermost: Array) -> Array:
        """Return which particles are b quarks of a W that comes from another resonance."""
        above = self.mother[place]
        from_w = (above >= 0) & (self.types[above] == _NUMBER["w"]) & (self.first[above] != outermost)
        return np.asarray(from_w & (self.types[place] == _NUMBER["bottom"]))

    def _resonances(self, roots: Array, pt: Array) -> Array:
        """Return the numbers of `_NAMES` of resonances, by their first copies; -1 for a third W or Z."""
        decaying = np.zeros(len(pt))
        decaying[self.first[self.last]] = pt[self.last]
        types, sign = self.types[roots], self.pdg[roots] > 0
        order = np.lexsort((-decaying[roots], types, self.event[roots]))
        key = self.event[roots][order] * len(OBJECT_TYPES) + types[order]
        rank = np.empty(len(roots), np.int64)
        rank[order] = np.arange(len(roots)) - np.searchsorted(key, key)
        names = np.full(len(roots), -1)
        for name, chosen in {
            "t": (types == _NUMBER["top"]) & sign,
            "tbar": (types == _NUMBER["top"]) & ~sign,
            "h": types == _NUMBER["higgs"],
            "x": types == _NUMBER["other"],
            **{f"{v}{n}": (types == _NUMBER[v]) & (rank == k) for v in "wz" for k, n in enumerate(("", "2"))},
        }.items():
            names[chosen] = _NAMES.index(name)
        return names


def _role_table() -> npt.NDArray[np.int8]:
    """Return the role by type of the object and number of the resonance; the last column is for none."""
    table = np.full((len(OBJECT_TYPES), len(_NAMES) + 1), _NONE, np.int8)
    for kind, what in _DAUGHTERS.items():
        for number, of in enumerate(_NAMES):
            table[_NUMBER[kind], number] = OBJECT_ROLES.index(f"{of}_{what}")
    return table


_ROLES = _role_table()
