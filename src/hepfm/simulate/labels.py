"""Truth labels: which jets hold the whole decay of a resonance, or a parton of the hard collision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.pairs import pairs_of_events
from hepfm.physics.kinematics import delta_r, pseudorapidity
from hepfm.physics.pdg import CHARGED_LEPTONS, ELECTRON, GLUON, MUON, NEUTRINOS, PHOTON, QUARKS, TAU
from hepfm.simulate.particles import Bools, Floats, Ints
from hepfm.simulate.pythia import Record

TOKENS: dict[str, tuple[int, ...]] = {
    "d": (1,),
    "u": (2,),
    "s": (3,),
    "c": (4,),
    "b": (5,),
    "g": (GLUON,),
    "gamma": (PHOTON,),
    "e": (ELECTRON,),
    "mu": (MUON,),
    "tau": (TAU,),
    "l": (ELECTRON, MUON),
    "nu": NEUTRINOS,
    "q": QUARKS,
    "uds": (1, 2, 3),
    "any": (*QUARKS, GLUON, PHOTON, *CHARGED_LEPTONS, *NEUTRINOS),
}
"""What a word of a decay pattern stands for, as |PDG code|."""

FUNDAMENTAL = TOKENS["any"]
"""|PDG code| at which a decay chain ends."""

OUTGOING_HARD = -23
"""Pythia's status of an outgoing particle of the hard collision."""


@dataclass(frozen=True)
class Decays:
    """Resonances of a batch and where their decay products went.

    Attributes
    ----------
    event
        Event of each resonance, shape (R,).
    pdg
        |PDG code| of its decay products, 0 for absent ones, shape (R, K).
    eta, phi
        Their directions, shape (R, K).
    """

    event: Ints
    pdg: Ints
    eta: Floats
    phi: Floats


def parse_pattern(text: str) -> tuple[str, ...]:
    """Split a pattern such as ``"b q q"`` into its words; raise `ConfigError` for an unknown word.

    >>> parse_pattern("q q l nu")
    ('q', 'q', 'l', 'nu')
    """
    words = tuple(text.split())
    for word in words:
        if word not in TOKENS:
            raise ConfigError(f"decay pattern {text!r}: unknown word {word!r}{did_you_mean(word, TOKENS)}")
    if not words:
        raise ConfigError("empty decay pattern; write e.g. 'b b'")
    return words


def match_decay(
    record: Record, jets: tuple[Ints, Floats, Floats], *, resonance: int, pattern: str, radius: float
) -> Bools:
    """Tell which jets hold a resonance that decays after a pattern.

    A chain of decays is followed down to quarks, gluons, leptons and photons. The products must be those of
    the pattern, no more and no fewer, and all but neutrinos must lie within `radius` of the jet's axis.
    Quarks and gluons count as produced, before their radiation; leptons as they end, after it.

    Parameters
    ----------
    jets
        Event, eta and phi of each jet, shape (J,).
    resonance
        |PDG code|, e.g. 25.
    pattern
        Words of `TOKENS`, e.g. ``"q q l nu"``.
    """
    decays = find_decays(record, resonance)
    rows = fits_pattern(decays.pdg, parse_pattern(pattern))
    fitting = Decays(decays.event[rows], decays.pdg[rows], decays.eta[rows], decays.phi[rows])
    return _any_inside(jets, fitting, radius)


def match_parton(record: Record, jets: tuple[Ints, Floats, Floats], *, parton: str, radius: float) -> Bools:
    """Tell which jets lie within `radius` of an outgoing parton of this kind of the hard collision."""
    (word,) = parse_pattern(parton)
    index = np.flatnonzero((record.status == OUTGOING_HARD) & np.isin(np.abs(record.pdg), TOKENS[word]))
    return _any_inside(jets, _decays(record, record.event_of(index), index[:, None]), radius)


def match_resonance(
    record: Record, jets: tuple[Ints, Floats, Floats], *, resonance: int, radius: float
) -> Bools:
    """Tell which jets lie within `radius` of a resonance as it is when it decays, however it does."""
    index = np.flatnonzero(np.abs(record.pdg) == resonance)
    index = index[last_copy(record, index) == index]
    return _any_inside(jets, _decays(record, record.event_of(index), index[:, None]), radius)


def find_decays(record: Record, resonance: int) -> Decays:
    """Find the last copies of a resonance and the final products of their decay chains."""
    index = np.flatnonzero(np.abs(record.pdg) == resonance)
    index = index[(last_copy(record, index) == index) & (record.daughter1[index] > 0)]
    owner, product = daughters_of(record, np.arange(len(index)), index)
    while True:
        open_ = ~np.isin(np.abs(record.pdg[product]), FUNDAMENTAL) & (record.daughter1[product] > 0)
        if not open_.any():
            break
        deeper = daughters_of(record, owner[open_], last_copy(record, product[open_]))
        owner = np.concatenate([owner[~open_], deeper[0]])
        product = np.concatenate([product[~open_], deeper[1]])
    leptons = np.isin(np.abs(record.pdg[product]), CHARGED_LEPTONS)
    product[leptons] = last_copy(record, product[leptons])
    return _decays(record, record.event_of(index), _table(owner, product, len(index)))


def fits_pattern(pdg: Ints, words: tuple[str, ...]) -> Bools:
    """Tell which rows of decay products, (R, K) with 0 for none, are those of the pattern in any order."""
    free = pdg > 0
    fits: Bools = free.sum(axis=1) == len(words)
    for word in sorted(words, key=lambda word: len(TOKENS[word])):
        candidate = free & np.isin(pdg, TOKENS[word])
        fits &= candidate.any(axis=1)
        if pdg.shape[1]:
            free[np.arange(len(pdg)), candidate.argmax(axis=1)] &= ~candidate.any(axis=1)
    return fits


def last_copy(record: Record, index: Ints) -> Ints:
    """Follow entries to the last one of the same particle."""
    while True:
        heir = index
        for daughter in reversed(record.daughters(index)):
            heir = np.where((daughter > 0) & (record.pdg[daughter] == record.pdg[index]), daughter, heir)
        if np.array_equal(heir, index):
            return index
        index = heir


def daughters_of(record: Record, owner: Ints, index: Ints) -> tuple[Ints, Ints]:
    """Return the daughters of entries, with the owner of each."""
    first, last = record.daughters(index)
    count = np.maximum(last, first) - first + 1
    start = np.concatenate([[0], np.cumsum(count)[:-1]]) if len(count) else count
    return np.repeat(owner, count), np.arange(count.sum()) + np.repeat(first - start, count)


def _table(owner: Ints, product: Ints, rows: int) -> Ints:
    """Lay products out as rows of their owners, -1 for none."""
    order = np.argsort(owner, kind="stable")
    owner, product = owner[order], product[order]
    count = np.bincount(owner, minlength=rows)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    table = np.full((rows, int(count.max(initial=0))), -1, np.int64)
    table[owner, place] = product
    return table


def _decays(record: Record, event: Ints, table: Ints) -> Decays:
    present = table >= 0
    px, py, pz = record.px[table], record.py[table], record.pz[table]
    return Decays(
        event=event,
        pdg=np.where(present, np.abs(record.pdg[table]), 0),
        eta=pseudorapidity(px, py, pz),
        phi=np.arctan2(py, px),
    )


def _any_inside(jets: tuple[Ints, Floats, Floats], decays: Decays, radius: float) -> Bools:
    """Tell for which jets all tested products of any resonance of the event are inside."""
    jet_event, jet_eta, jet_phi = jets
    jet, resonance = pairs_of_events(jet_event, decays.event)
    distance = delta_r(
        decays.eta[resonance], decays.phi[resonance], jet_eta[jet][:, None], jet_phi[jet][:, None]
    )
    tested = (decays.pdg[resonance] > 0) & ~np.isin(decays.pdg[resonance], NEUTRINOS)
    inside = (~tested | (distance < radius)).all(axis=1)
    matched = np.zeros(len(jet_event), bool)
    matched[jet[inside]] = True
    return matched
