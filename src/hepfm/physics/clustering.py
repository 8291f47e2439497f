"""Jets and subjets from FastJet, over many events in one call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import missing_extra
from hepfm.core.ragged import Ragged

Floats = npt.NDArray[np.floating]
Algorithm = Literal["anti_kt", "ee_genkt"]
SubjetAlgorithm = Literal["cambridge_aachen", "anti_kt"]

_NO_BEAM = 100.0
"""Radius of exclusive kT beyond any distance in a jet: no constituent is merged with the beam, and so lost.
The order in which constituents are merged with each other does not depend on it."""

_ONE_AT_A_TIME = threading.Lock()
"""FastJet's arrays of events corrupt memory when two threads cluster at once (fastjet 3.5.1)."""


@dataclass(frozen=True)
class Jets:
    """Clustered jets of many events.

    Attributes
    ----------
    p4
        (E, px, py, pz) in GeV, shape (J, 4).
    event
        Event of each jet, int64, shape (J,).
    members
        For each jet the indices of its constituents in the input.
    """

    p4: Floats
    event: npt.NDArray[np.int64]
    members: Ragged

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Jets:
        """Return the given jets."""
        return Jets(self.p4[rows], self.event[rows], self.members.take(rows))


def cluster_jets(
    p4: Floats,
    lengths: npt.NDArray[np.int64],
    *,
    radius: float,
    min_pt: float,
    algorithm: Algorithm = "anti_kt",
) -> Jets:
    """Cluster the particles of each event, E scheme.

    Parameters
    ----------
    p4
        (E, px, py, pz) in GeV of all particles, one event after the other, shape (n, 4).
    lengths
        Number of particles of each event, shape (events,).
    radius
        Jet radius R.
    min_pt
        Lowest jet pT in GeV.
    algorithm
        ``anti_kt`` (0802.1189), or ``ee_genkt``, the generalised kT algorithm of e+e- with p = -1, whose
        radius is an angle (FastJet's manual, 1111.6097).
    """
    fastjet, awkward = import_fastjet()
    definition = (
        fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
        if algorithm == "anti_kt"
        else fastjet.JetDefinition(fastjet.ee_genkt_algorithm, radius, -1.0)
    )
    sequence = fastjet.ClusterSequence(events_of_momenta(p4, lengths), definition)
    jet_p4, counts = momenta_of_events(sequence.inclusive_jets(min_pt))
    event = np.repeat(np.arange(len(lengths)), counts)
    lists = awkward.flatten(sequence.constituent_index(min_pt))
    sizes = awkward.to_numpy(awkward.num(lists)).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(lengths)])[event]
    index = awkward.to_numpy(awkward.flatten(lists)).astype(np.int64) + np.repeat(first, sizes)
    return Jets(jet_p4, event, Ragged.from_lengths(index, sizes))


def cluster_exclusive_jets(p4: Floats, lengths: npt.NDArray[np.int64], *, num_jets: int) -> Jets:
    """Cluster all particles of each event into a number of jets: Durham's kT for e+e-, E scheme.

    Events with fewer particles have no jets.

    Parameters
    ----------
    p4, lengths
        As of `cluster_jets`.
    num_jets
        Number of jets of each event.
    """
    fastjet, awkward = import_fastjet()
    events = np.flatnonzero(lengths >= num_jets)
    particles = np.flatnonzero(np.repeat(lengths >= num_jets, lengths))
    if not len(events):
        return Jets(np.zeros((0, 4)), events.astype(np.int64), Ragged.from_lengths(particles, events))
    with _ONE_AT_A_TIME:
        definition = fastjet.JetDefinition0Param(fastjet.ee_kt_algorithm)
        sequence = fastjet.ClusterSequence(events_of_momenta(p4[particles], lengths[events]), definition)
        lists = awkward.flatten(sequence.exclusive_jets_constituent_index(num_jets))
    sizes = awkward.to_numpy(awkward.num(lists)).astype(np.int64)
    event = np.repeat(events, num_jets)
    first = np.repeat((np.cumsum(lengths) - lengths)[event], sizes)
    members = Ragged.from_lengths(awkward.to_numpy(awkward.flatten(lists)).astype(np.int64) + first, sizes)
    jet_p4 = np.add.reduceat(p4[members.values], members.offsets[:-1], axis=0)
    return Jets(jet_p4, event, members)


def radius_subjets(
    p4: Floats,
    lengths: npt.NDArray[np.int64],
    *,
    radius: float,
    algorithm: SubjetAlgorithm = "cambridge_aachen",
) -> npt.NDArray[np.int64]:
    """Return the subjet of each particle, int64 (n,), E scheme.

    Subjets are numbered within their event, 0 for the one of highest pT.

    Parameters
    ----------
    p4
        (E, px, py, pz) in GeV of all particles, one event after the other, shape (n, 4).
    lengths
        Number of particles of each event.
    radius
        Radius R of the subjets.
    algorithm
        Cambridge-Aachen, or anti-kT (0802.1189).
    """
    fastjet, _ = import_fastjet()
    kind = fastjet.antikt_algorithm if algorithm == "anti_kt" else fastjet.cambridge_algorithm
    definition = fastjet.JetDefinition(kind, radius)
    with _ONE_AT_A_TIME:
        sequence = fastjet.ClusterSequence(events_of_momenta(p4, lengths), definition)
        members = sequence.constituent_index(0.0)
    return _numbers(p4, lengths, members)


def exclusive_subjets(
    p4: Floats, lengths: npt.NDArray[np.int64], *, numbers: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Return the subjet of each particle for several numbers of exclusive kT subjets, int64 (K, n).

    Numbered as by `radius_subjets`; each particle of an event of no more particles is a subjet of its own.

    Parameters
    ----------
    p4, lengths
        As of `radius_subjets`.
    numbers
        K numbers of subjets.
    """
    fastjet, _ = import_fastjet()
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, _NO_BEAM)
    subjets = np.tile(_numbers(p4, lengths, None), (len(numbers), 1))
    tried = sorted(set(numbers))
    for smaller, larger in zip(tried, [*tried[1:], np.inf], strict=True):
        # FastJet refuses more subjets than particles: only these events have `smaller` and no larger number.
        events = (lengths > smaller) & (lengths <= larger)
        particles = np.repeat(events, lengths)
        if not events.any():
            continue
        part = p4[particles], lengths[events]
        with _ONE_AT_A_TIME:
            sequence = fastjet.ClusterSequence(events_of_momenta(*part), definition)
            members = {n: sequence.exclusive_jets_constituent_index(n) for n in tried if n <= smaller}
        for row, number in enumerate(numbers):
            if number <= smaller:
                subjets[row, particles] = _numbers(*part, members[number])
    return subjets


def _numbers(p4: Floats, lengths: npt.NDArray[np.int64], members: Any) -> npt.NDArray[np.int64]:
    """Return the number of each particle's subjet in its event, by falling pT; without members its own."""
    event = np.repeat(np.arange(len(lengths)), lengths)
    if members is None:
        subjet, jet_event = np.arange(len(p4)), event
    else:
        _, awkward = import_fastjet()
        counts = awkward.to_numpy(awkward.num(members))
        lists = awkward.flatten(members)
        sizes = awkward.to_numpy(awkward.num(lists))
        jet_event = np.repeat(np.arange(len(lengths)), counts)
        first = (np.cumsum(lengths) - lengths)[jet_event]
        particle = awkward.to_numpy(awkward.flatten(lists)) + np.repeat(first, sizes)
        subjet = np.empty(len(p4), np.int64)
        subjet[particle] = np.repeat(np.arange(len(jet_event)), sizes)
    px, py = (np.bincount(subjet, p4[:, axis], minlength=len(jet_event)) for axis in (1, 2))
    order = np.lexsort((-np.hypot(px, py), jet_event))
    number = np.empty(len(order), np.int64)
    start = np.searchsorted(jet_event, np.arange(len(lengths)))
    number[order] = np.arange(len(order)) - start[jet_event[order]]
    return number[subjet]


def events_of_momenta(p4: Floats, lengths: npt.NDArray[np.int64]) -> Any:
    """Lay flat momenta out as FastJet's awkward array of events."""
    _, awkward = import_fastjet()
    columns = {name: np.ascontiguousarray(p4[:, i]) for i, name in enumerate(("E", "px", "py", "pz"))}
    return awkward.unflatten(awkward.zip(columns, with_name="Momentum4D"), lengths)


def momenta_of_events(array: Any) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the momenta (E, px, py, pz) in FastJet's awkward array of events, and the events' lengths."""
    columns = array.layout.content
    p4 = np.stack([np.asarray(columns.content(name).data) for name in ("E", "px", "py", "pz")], axis=-1)
    offsets: npt.NDArray[np.int64] = np.asarray(array.layout.offsets.data, np.int64)
    return p4, np.diff(offsets)


def import_fastjet() -> tuple[Any, Any]:
    """Import FastJet, with its banner off, and awkward; raise `MissingExtraError` where they are absent."""
    try:
        import awkward
        import fastjet
        from fastjet import _swig
    except ImportError as error:
        raise missing_extra(error.name or "fastjet", "sim") from None
    _swig.ClusterSequence.set_fastjet_banner_stream(None)
    return fastjet, awkward
