"""Candidates of Delphes's energy flow, and the numbers by which jets refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.data.readers.base import require
from hepfm.data.readers.event_files import same_lists
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable, as_column

COLLECTIONS = ("ParticleFlowCandidate", "EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron")
NUMBER_BITS = 24
"""Of ``fUniqueID``; ROOT keeps the number of the process in those above, and not in all places."""

NEUTRAL_HADRON = 130
PHOTON = 22

_ANY_TRACK = ("fUniqueID", "PT", "Eta", "Phi", "Charge", "PID", "D0", "DZ", "ErrorD0", "ErrorDZ")
_NEEDED = {
    "tower": ("fUniqueID", "ET", "Eta", "Phi", "E", "Eem", "Ehad"),
    "track": _ANY_TRACK,
    "flow": (*_ANY_TRACK, "E", "Mass", "CtgTheta"),
}
"""Branches of Delphes's classes Tower, Track and ParticleFlowCandidate."""
_TRACK = {"d0": "D0", "d0_error": "ErrorD0", "dz": "DZ", "dz_error": "ErrorDZ"}


@dataclass(frozen=True)
class DelphesCandidates:
    """Candidates of the events of a piece.

    Attributes
    ----------
    columns
        ``px``, ``py``, ``pz``, ``energy`` (GeV), ``charge``, ``pdg``, ``d0``, ``d0_error``, ``dz``,
        ``dz_error`` (mm), (n,) each, float64.
    keys
        Event and number of the candidates, rising.
    places
        Their places in the columns, (keys,).
    """

    columns: dict[str, Array]
    keys: Array
    places: Array

    def find(self, event: Array, number: Array) -> Array:
        """Return the place of each candidate that is referred to; -1 where there is none."""
        wanted = _key(event, number)
        if not len(self.keys):
            return np.full(len(wanted), -1)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, self.places[place], -1)


def branches_of(table: FileTable, collection: str) -> dict[str, str]:
    """Return the branches of a collection by the last part of their names.

    Raises
    ------
    DataError
        When some are missing.
    """
    there = {name for name in table.names if name.startswith(f"{collection}.")}
    kind = "tower" if f"{collection}.ET" in there else "flow" if f"{collection}.E" in there else "track"
    needed = {name: f"{collection}.{name}" for name in _NEEDED[kind]}
    if f"{collection}.Mass" in there:
        needed["Mass"] = f"{collection}.Mass"
    require(table.names, needed.values(), table.path, what="Delphes branches")
    return needed


def read(
    piece: Mapping[str, Any], collections: Mapping[str, Mapping[str, str]], *, position: bool, path: DataFile
) -> DelphesCandidates:
    """Return the candidates of a piece of a file.

    A candidate that several collections hold is taken from the first.

    Parameters
    ----------
    piece
        Branches as awkward arrays.
    collections
        Branches of each collection, see `branches_of`.
    position
        Whether the direction of particle-flow candidates is that of their position.
    path
        The file, for messages.

    Raises
    ------
    DataError
        When two candidates of an event and collection have the same number.
    """
    parts, keys = [], []
    for collection, branches in collections.items():
        columns = {name: as_column(piece[name], name, path) for name in branches.values()}
        found = same_lists(columns, list(branches.values()), path)
        values = {name: column.values for name, column in zip(branches, found, strict=True)}
        key = _key(found[0].row_index(), values["fUniqueID"])
        if len(np.unique(key)) < len(key):
            raise DataError(
                f"{path}: two candidates of {collection} in one event have the same fUniqueID, so what jets "
                "refer to cannot be told"
            )
        keys.append(key)
        parts.append(_fields({name: part.astype(np.float64) for name, part in values.items()}, position))
    columns_of_all = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    unique, first = np.unique(np.concatenate(keys), return_index=True)
    return DelphesCandidates(columns_of_all, unique, first)


def _key(event: Array, number: Array) -> Array:
    low = number.astype(np.int64) & ((1 << NUMBER_BITS) - 1)
    return np.asarray((event.astype(np.int64) << NUMBER_BITS) | low)


def _fields(values: dict[str, Array], position: bool) -> dict[str, Array]:
    nothing = np.zeros(len(values["Eta"]))
    pt = values["PT"] if "PT" in values else values["ET"]
    flow = "CtgTheta" in values
    pz = pt * (values["CtgTheta"] if flow and not position else np.sinh(values["Eta"]))
    momentum, mass = np.hypot(pt, pz), np.maximum(values.get("Mass", nothing), 0)
    energy = values["E"] if "E" in values and not (flow and position) else np.hypot(momentum, mass)
    return {
        "px": pt * np.cos(values["Phi"]),
        "py": pt * np.sin(values["Phi"]),
        "pz": pz,
        "energy": energy,
        "charge": values.get("Charge", nothing),
        "pdg": _codes(values),
        **{name: values.get(branch, nothing) for name, branch in _TRACK.items()},
    }


def _codes(values: dict[str, Array]) -> Array:
    """Return the codes of the particles; Delphes gives neutral hadrons 0, and towers none."""
    if "PID" not in values:
        return np.where(values["Ehad"] == 0, PHOTON, NEUTRAL_HADRON)
    unknown = (values["PID"] == 0) & (values["Charge"] == 0)
    return np.where(unknown, NEUTRAL_HADRON, values["PID"])
