"""Which outgoing particle of the hard process a jet comes from: by it a jet is found again in other
simulations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import delta_r, pseudorapidity
from hepfm.physics.pdg import GLUON, QUARKS
from hepfm.simulate.labels import last_copy
from hepfm.simulate.particles import Floats, Ints
from hepfm.simulate.pythia import Record

NOTHING = -1
"""Number of the origin of a jet that comes from no outgoing particle."""

_INCOMING, _RESONANCE = -21, -22


@dataclass(frozen=True)
class HardParticles:
    """Outgoing particles of the hard process of some events, event after event.

    Attributes
    ----------
    event, number
        Their event, and which of its outgoing particles they are, from 0; shape (P,).
    eta, phi
        Partons as produced, resonances as they decay.
    """

    event: Ints
    number: Ints
    eta: Floats
    phi: Floats


def hard_particles(record: Record) -> HardParticles:
    """Return the outgoing particles of the hard process; of a single resonance, s-channel, what it decays
    to."""
    incoming = np.flatnonzero(record.status == _INCOMING)
    _, first_of_event = np.unique(record.event_of(incoming), return_index=True)
    parent = incoming[first_of_event]
    while True:
        first, last = record.daughters(parent)
        single = (first == last) & (record.status[first] == _RESONANCE)
        if not single.any():
            break
        parent = np.where(single, last_copy(record, first), parent)
    count = np.maximum(last, first) - first + 1
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    index = np.repeat(first, count) + number
    event = record.event_of(index)
    partons = np.isin(np.abs(record.pdg[index]), (*QUARKS, GLUON))
    index = np.where(partons, index, last_copy(record, index))
    px, py, pz = record.px[index], record.py[index], record.pz[index]
    return HardParticles(event, number, pseudorapidity(px, py, pz), np.arctan2(py, px))


def origin_of(hard: HardParticles, jets: Jets, *, num_events: int, radius: float) -> Ints:
    """Return the number of the outgoing particle that each jet comes from, shape (J,), or `NOTHING`.

    It is the nearest one, no farther than `radius`. Of several jets near one particle the nearest has it.
    Events of jets and particles are numbered alike, below `num_events`.
    """
    _, px, py, pz = jets.p4.T
    eta, phi = pseudorapidity(px, py, pz), np.arctan2(py, px)
    origin = np.full(len(jets), NOTHING, np.int64)
    nearest = np.full(len(jets), np.inf)
    for number in range(int(hard.number.max(initial=-1)) + 1):
        these = hard.number == number
        place = np.full(num_events, -1)
        place[hard.event[these]] = np.flatnonzero(these)
        particle = place[jets.event]
        distance = delta_r(hard.eta[particle], hard.phi[particle], eta, phi)
        distance = np.where((particle >= 0) & (distance < radius), distance, np.inf)
        origin = np.where(distance < nearest, number, origin)
        nearest = np.minimum(distance, nearest)
    return _only_nearest(origin, nearest, jets.event)


def _only_nearest(origin: Ints, distance: Floats, event: Ints) -> Ints:
    """Leave each particle of an event to the nearest of its jets."""
    order = np.lexsort((distance, origin, event))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(event[order]) != 0) | (np.diff(origin[order]) != 0)
    kept = np.zeros(len(order), bool)
    kept[order] = first
    return np.where(kept, origin, NOTHING)
