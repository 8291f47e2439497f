"""Names of the branches of an ATLAS DAOD_PHYSLITE file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Ragged
from hepfm.data.readers.base import require
from hepfm.data.readers.physlite_constituents import COVARIANCE, FLOW, TRACK, TRACKS, VERTICES
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable

_EVENT = ("runNumber", "lumiBlock", "eventNumber", "mcChannelNumber")
_JET = ("pt", "eta", "phi", "m")
_LINKS = {"links": "constituentLinks", "ghost_tracks": "GhostTrack"}


@dataclass(frozen=True)
class PhysliteLayout:
    """Names of branches.

    Attributes
    ----------
    jets
        Of the jets, by field.
    constituents
        ``links``, ``ghost_tracks`` or ``cone_tracks``.
    links
        One branch of keys and numbers, or two; none for ``cone_tracks``.
    containers
        Of objects that links lead to: by key, then by field.
    tracks
        By field; see `hepfm.data.readers.physlite_constituents.tracks`.
    event
        Run, luminosity block, number and, in simulation, the number of the sample.
    weight
        Of the event weight.
    """

    jets: Mapping[str, str]
    constituents: str
    links: tuple[str, ...]
    containers: Mapping[int | None, Mapping[str, str]]
    tracks: Mapping[str, str]
    event: tuple[str, ...]
    weight: str | None = None

    @property
    def names(self) -> list[str]:
        """All branches that are read."""
        groups = (self.jets, self.tracks, *self.containers.values())
        names = [name for group in groups for name in group.values()]
        return list(dict.fromkeys([*names, *self.links, *self.event, *filter(None, [self.weight])]))


def find_layout(
    table: FileTable,
    jets: str,
    *,
    constituents: str | None,
    containers: Mapping[int, str],
    more: Sequence[str],
) -> PhysliteLayout:
    """Return the names of the branches of a file.

    Parameters
    ----------
    table
        The tree of events.
    jets
        Container of the jets.
    constituents
        What they are made of; None for what the file has.
    containers
        Container by the key of links.
    more
        Further fields of the jets that are needed.

    Raises
    ------
    DataError
        When branches are missing, or the file has no constituents of this kind.
    """
    names = set(table.names)
    there = {kind: link_branches(names, jets, field) for kind, field in _LINKS.items()}
    if not containers:
        there["links"] = () if constituents is None else there["links"]
    chosen = constituents or next((kind for kind, links in there.items() if links), None)
    of_jets = _needed(table, jets, [*_JET, *more])
    if chosen is None or (chosen != "cone_tracks" and not there[chosen]):
        raise DataError(
            f"{table.path}: {jets} has no {_LINKS.get(chosen or '', 'GhostTrack')}, and PHYSLITE keeps no "
            "flow objects; take the tracks within a cone: --set constituents=cone_tracks (and cone=0.4 for "
            "small jets)"
        )
    return PhysliteLayout(
        of_jets,
        chosen,
        there.get(chosen, ()),
        {key: _container(table, name) for key, name in containers.items()} if chosen == "links" else {},
        {} if chosen == "links" else _tracks(table, names),
        event_branches(table),
    )


def event_branches(table: FileTable) -> tuple[str, ...]:
    """Return the branches of run, luminosity block, number and, in simulation, the number of the sample."""
    sample = _found(set(table.names), "EventInfo", _EVENT[3])
    return (*_needed(table, "EventInfo", _EVENT[:3]).values(), *([sample] if sample else []))


def links(piece: Mapping[str, Any], layout: PhysliteLayout, path: DataFile) -> tuple[Ragged, Ragged]:
    """Return keys and numbers of links, a list for each jet of all events."""
    import awkward as ak

    if len(layout.links) == 1:
        array = piece[layout.links[0]]
        key, index = array["m_persKey"], array["m_persIndex"]
    else:
        key, index = (piece[name] for name in layout.links)
    if key.ndim != 3 or index.ndim != 3:
        raise DataError(f"{path}: branch {layout.links[0]!r} must hold a list of links for each jet")
    lengths = ak.to_numpy(ak.num(ak.flatten(key, axis=1), axis=-1))
    flat = (np.asarray(ak.to_numpy(ak.flatten(array, axis=None))) for array in (key, index))
    keys, numbers = (Ragged.from_lengths(values, lengths) for values in flat)
    return keys, numbers


def _found(names: set[str], container: str, field: str) -> str | None:
    """Return the branch of a field: of a dynamic or a static store, in a tree or (with colons) an RNTuple."""
    ways = (f"{container}{store}{dot}{field}" for store in ("AuxDyn", "Aux") for dot in (".", ":"))
    return next((way for way in ways if way in names), None)


def _needed(table: FileTable, container: str, fields: Sequence[str]) -> dict[str, str]:
    names = set(table.names)
    found = {field: _found(names, container, field) or f"{container}AuxDyn.{field}" for field in fields}
    if not any(name in names for name in found.values()):
        known = {name.partition("Aux")[0] for name in names if "Aux" in name}
        raise DataError(f"{table.path} has no container {container!r}{did_you_mean(container, known)}")
    require(names, found.values(), table.path, what="PHYSLITE branches")
    return found


def link_branches(names: set[str], container: str, field: str) -> tuple[str, ...]:
    """Return the branch of links, or those of its two members."""
    whole = _found(names, container, field)
    parts = [_found(names, container, f"{field}.{member}") for member in ("m_persKey", "m_persIndex")]
    return (whole,) if whole else tuple(name for name in parts if name) if all(parts) else ()


def _container(table: FileTable, name: str) -> dict[str, str]:
    found = _needed(table, name, FLOW)
    charge = _found(set(table.names), name, "charge")
    return found | ({"charge": charge} if charge else {})


def _tracks(table: FileTable, names: set[str]) -> dict[str, str]:
    optional = {
        "vz": _found(names, TRACKS, "vz"),
        "covariance": _found(names, TRACKS, COVARIANCE),
        "vertex_z": _found(names, VERTICES, "z"),
        "vertex_type": _found(names, VERTICES, "vertexType"),
    }
    return _needed(table, TRACKS, TRACK) | {key: name for key, name in optional.items() if name}
