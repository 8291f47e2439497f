"""Particles of EDM4hep's events, the jets that they make, and the partons near these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged, entry_pairs, gather_index
from hepfm.data.readers.edm4hep_layout import Edm4hepLayout, Relation
from hepfm.data.readers.event_files import same_lists
from hepfm.data.readers.physics import impact_parameters, particle_types
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import as_column
from hepfm.physics.clustering import Jets

_AT_VERTEX = 1
"""``edm4hep::TrackState::AtIP``."""
_D0, _Z0 = 0, 9
"""Places of the variances of D0 and Z0 in the lower triangle of D0, phi, omega, Z0, tanLambda (, time)."""
_HADRON = 211


@dataclass(frozen=True)
class EventPiece:
    """Branches of some events, awkward arrays."""

    arrays: Mapping[str, Any]
    path: DataFile

    def lists(self, names: Sequence[str]) -> list[Ragged]:
        """Return branches that hold lists of the same lengths."""
        columns = {name: as_column(self.arrays[name], name, self.path) for name in names}
        return same_lists(columns, list(names), self.path)

    def one_each(self, name: str) -> Array:
        """Return the one number that podio's list has for each event."""
        column = as_column(self.arrays[name], name, self.path)
        if isinstance(column, Ragged):
            if (column.lengths != 1).any():
                raise DataError(f"{self.path}: an entry of {name} does not hold one number")
            return column.values
        return column


@dataclass(frozen=True)
class ReconstructedParticles:
    """Particles of the events of a piece.

    Attributes
    ----------
    p4
        (E, px, py, pz), GeV, (n, 4).
    lengths
        Of each event.
    fields
        Charge, type and, where there are tracks, impact parameters, (n,) each.
    """

    p4: Array
    lengths: Array
    fields: Mapping[str, Array]


def particles(piece: EventPiece, layout: Edm4hepLayout) -> ReconstructedParticles:
    """Return the particles of the events."""
    found = dict(zip(layout.particles, piece.lists(list(layout.particles.values())), strict=True))
    values = {name: np.asarray(column.values, np.float64) for name, column in found.items()}
    lengths = found["energy"].lengths
    charge = values["charge"]
    codes = _codes(piece, layout, values.get("PDG", np.zeros(len(charge))), charge, lengths)
    fields = {"part_charge": charge.astype(np.float32), "part_pid": particle_types(codes)}
    if layout.states:
        fields |= _tracks(piece, layout, charge, lengths)
    p4 = np.stack([values[name] for name in ("energy", "momentum.x", "momentum.y", "momentum.z")], axis=1)
    return ReconstructedParticles(p4, lengths, fields)


def _codes(piece: EventPiece, layout: Edm4hepLayout, codes: Array, charge: Array, lengths: Array) -> Array:
    """Return the PDG codes, of particles without one from what else there is."""
    known = codes.copy()
    for code, branch in layout.leptons.items():
        (index,) = piece.lists([branch])
        places = _places(index.values, index.row_index(), lengths, branch, piece.path)
        known[places] = np.where(codes[places] == 0, code, codes[places])
    return np.where((known == 0) & (charge != 0), _HADRON * np.sign(charge), known)


def _tracks(piece: EventPiece, layout: Edm4hepLayout, charge: Array, lengths: Array) -> dict[str, Array]:
    """Return impact parameters, 0 for particles without track."""
    assert layout.tracks is not None
    has, place = _first_links(piece, layout.tracks, _track_lengths(piece, layout))
    begin, end = piece.lists([layout.states["begin"], layout.states["end"]])
    state_lengths = piece.lists([layout.states["D0"]])[0].lengths
    state = _first_states(piece, layout, begin, end, state_lengths)
    values = {
        name: np.asarray(piece.lists([layout.states[name]])[0].values, np.float64) for name in ("D0", "Z0")
    }
    errors = _errors(piece, layout, len(values["D0"]))
    full = np.zeros((4, len(charge)))
    ok = has.copy()
    ok[has] = state[place] >= 0
    chosen = state[place][state[place] >= 0]
    full[:, ok] = np.stack([-values["D0"], errors[0], values["Z0"], errors[1]])[:, chosen]
    return impact_parameters(*full, charged=(charge != 0) & ok)


def _track_lengths(piece: EventPiece, layout: Edm4hepLayout) -> Array:
    return piece.lists([layout.states["begin"]])[0].lengths


def _first_links(piece: EventPiece, relation: Relation, lengths: Array) -> tuple[Array, Array]:
    """Return which objects are related to any other, and the place of the first of each of these."""
    begin, end = piece.lists([relation.begin, relation.end])
    index, collection = piece.lists([relation.index, relation.collection])
    _one_collection(collection, relation, piece.path)
    has = end.values > begin.values
    event = begin.row_index()[has]
    link = _places(begin.values[has].astype(np.int64), event, index.lengths, relation.begin, piece.path)
    return has, _places(index.values[link], event, lengths, relation.index, piece.path)


def _first_states(
    piece: EventPiece, layout: Edm4hepLayout, begin: Ragged, end: Ragged, lengths: Array
) -> Array:
    """Return the place of each track's state at the interaction point, else its first; -1 without."""
    counts = np.maximum(end.values.astype(np.int64) - begin.values.astype(np.int64), 0)
    track = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    number = begin.values.astype(np.int64)[track] + within
    place = _places(number, begin.row_index()[track], lengths, layout.states["begin"], piece.path)
    location = piece.lists([layout.states["location"]])[0].values[place]
    order = np.lexsort((within, location != _AT_VERTEX, track))
    tracks, first = np.unique(track[order], return_index=True)
    state = np.full(len(counts), -1)
    state[tracks] = place[order][first]
    return state


def _errors(piece: EventPiece, layout: Edm4hepLayout, rows: int) -> Array:
    """Return the errors of D0 and Z0, (2, n)."""
    import awkward as ak

    if "covariance" not in layout.states:
        return np.zeros((2, rows))
    covariance = ak.to_numpy(ak.flatten(piece.arrays[layout.states["covariance"]], axis=1))
    if covariance.ndim != 2 or covariance.shape[0] != rows or covariance.shape[1] <= _Z0:
        raise DataError(f"{piece.path}: {layout.states['covariance']!r} must hold a matrix for each state")
    with np.errstate(invalid="ignore"):
        return np.sqrt(covariance[:, [_D0, _Z0]].astype(np.float64).T)


def made_of(piece: EventPiece, layout: Edm4hepLayout, of_events: ReconstructedParticles) -> Jets:
    """Return the stored jets with the places of their particles."""
    assert layout.members is not None
    found = dict(zip(layout.jets, piece.lists(list(layout.jets.values())), strict=True))
    p4 = np.stack(
        [
            np.asarray(found[name].values, np.float64)
            for name in ("energy", "momentum.x", "momentum.y", "momentum.z")
        ],
        axis=1,
    )
    event = found["energy"].row_index()
    relation = layout.members
    begin, end = piece.lists([relation.begin, relation.end])
    index, collection = piece.lists([relation.index, relation.collection])
    _one_collection(collection, relation, piece.path)
    counts = np.maximum(end.values.astype(np.int64) - begin.values.astype(np.int64), 0)
    if (end.values > index.lengths[event]).any():
        raise DataError(f"{piece.path}: the ranges {relation.end} point beyond an event's end")
    link, _ = gather_index(index.offsets[event] + begin.values.astype(np.int64), counts)
    owner = np.repeat(event, counts)
    members = _places(index.values[link], owner, of_events.lengths, relation.index, piece.path)
    return Jets(p4, event, Ragged.from_lengths(members, counts))


def nearest_partons(
    piece: EventPiece, layout: Edm4hepLayout, jets: Jets, *, status: Sequence[int], max_angle: float
) -> Array:
    """Return the absolute PDG code of the parton nearest to each jet, 0 without one within `max_angle`.

    Raises
    ------
    DataError
        When no particle has any of these generator states.
    """
    found = dict(zip(layout.truth, piece.lists(list(layout.truth.values())), strict=True))
    states = found["generatorStatus"].values
    kept = np.isin(states, status)
    if len(states) and not kept.any():
        there = ", ".join(map(str, np.unique(states).tolist()))
        raise DataError(
            f"{piece.path}: no generated particle has the status {', '.join(map(str, status))}; there are "
            f"{there}: say which are partons with partons.status"
        )
    code = np.abs(found["PDG"].values[kept]).astype(np.int64)
    quarks = np.isin(code, (1, 2, 3, 4, 5, 6, 21))
    vector = np.stack([found[f"momentum.{axis}"].values[kept][quarks] for axis in "xyz"], axis=1)
    lengths = np.bincount(found["PDG"].row_index()[kept][quarks], minlength=len(found["PDG"]))
    of_jets = np.bincount(jets.event, minlength=len(lengths))
    jet, parton = entry_pairs(of_jets, lengths)
    angle = _angle(jets.p4[jet, 1:], vector[parton])
    order = np.lexsort((angle, jet))
    first, place = np.unique(jet[order], return_index=True)
    nearest = order[place]
    codes = np.zeros(len(jets), np.int64)
    codes[first] = np.where(angle[nearest] <= max_angle, code[quarks][parton[nearest]], 0)
    return codes


def _angle(first: Array, second: Array) -> Array:
    """Return the angle between vectors, accurate for small ones too."""
    return np.arctan2(np.linalg.norm(np.cross(first, second), axis=1), (first * second).sum(axis=1))


def _places(number: Array, event: Array, lengths: Array, branch: str, path: DataFile) -> Array:
    """Return the places in all events together of objects by their numbers in their event."""
    number = number.astype(np.int64)
    if ((number < 0) | (number >= lengths[event])).any():
        raise DataError(f"{path}: the links {branch} point beyond an event's end")
    return (np.cumsum(lengths) - lengths)[event] + number


def _one_collection(collection: Ragged, relation: Relation, path: DataFile) -> None:
    found = np.unique(collection.values)
    if len(found) > 1:
        raise DataError(
            f"{path}: {relation.index} leads to {len(found)} collections "
            f"({', '.join(map(str, found.tolist()))}); one is expected"
        )
