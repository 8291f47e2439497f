"""Jets from FastJet: anti-kT, or generalised kT of e+e-, over many events in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import missing_extra
from hepfm.core.ragged import Ragged

Floats = npt.NDArray[np.floating]
Algorithm = Literal["anti_kt", "ee_genkt"]


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
