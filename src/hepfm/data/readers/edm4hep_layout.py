"""Names of the branches of podio's collections of EDM4hep, in each of its spellings.

The relation ``particles`` of a collection ``Jet`` is ``_Jet_particles``; in older files it is ``Jet#2``,
numbered by the order in EDM4hep's definition. Lists of values, such as the states of tracks, are
``_EFlowTrack_trackStates``, and were ``EFlowTrack_1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hepfm.core.errors import DataError, did_you_mean
from hepfm.data.readers.base import require
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.open import open_table

PARTICLES = ("ReconstructedParticles", "PandoraPFOs", "TightSelectedPandoraPFOs", "MergedRecoParticles")
TRACKS = ("EFlowTrack", "MarlinTrkTracks", "SiTracks_Refitted", "SiTracks", "ClupatraTracks", "Tracks")
TRUTH = ("Particle", "MCParticles", "MCParticle", "GenParticles")
"""Collections that are looked for, the first first."""

_NUMBER = {"tracks": 1, "particles": 2, "from": 0, "to": 1}
"""Of relations of reconstructed particles, in older files."""
_STATES = ("trackStates", 1)
_KINEMATICS = ("momentum.x", "momentum.y", "momentum.z", "energy")
_STATE = ("D0", "Z0", "location")
_TABLES = ("podio_metadata", "metadata", "col_metadata")


@dataclass(frozen=True)
class Relation:
    """Branches of a relation: the ranges of each object among the links, and the links.

    Attributes
    ----------
    begin, end
        Places among the links of the event.
    index, collection
        Number of the object in its collection, and the collection's.
    """

    begin: str
    end: str
    index: str
    collection: str

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.begin, self.end, self.index, self.collection


@dataclass(frozen=True)
class Edm4hepLayout:
    """Names of branches.

    Attributes
    ----------
    particles
        Of the event's particles, by field: momentum and energy, ``charge`` and ``PDG``.
    jets
        Momentum and energy of stored jets; empty where jets are clustered.
    members
        From jets to particles.
    tracks
        From particles to tracks; None in files without.
    states
        From tracks to their states: first and last, ``D0``, ``Z0``, ``location``, ``covariance``.
    leptons
        Links of the collections of electrons, muons and photons to particles, by PDG code.
    truth
        ``PDG``, ``generatorStatus`` and momentum of the generator's particles; empty without.
    event
        Run and number; empty in files without header.
    """

    particles: Mapping[str, str]
    jets: Mapping[str, str]
    members: Relation | None
    tracks: Relation | None
    states: Mapping[str, str]
    leptons: Mapping[int, str]
    truth: Mapping[str, str]
    event: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All branches that are read."""
        groups = (self.particles, self.jets, self.states, self.leptons, self.truth)
        names = [name for group in groups for name in group.values()]
        relations = [name for one in (self.members, self.tracks) if one for name in one.names]
        return list(dict.fromkeys([*names, *relations, *self.event]))


def chosen(table: FileTable, name: str | None, known: Sequence[str], what: str) -> str:
    """Return a collection of a file: the one that is named, or the first of those known.

    Raises
    ------
    DataError
        When there is none.
    """
    found = collections(table)
    if name is not None and name not in found:
        raise DataError(f"{table.path} has no collection {name!r}{did_you_mean(name, found)}")
    first = name or next((one for one in known if one in found), None)
    if first is None:
        raise DataError(
            f"{table.path} has none of the collections {', '.join(known)}; name another, {what}"
            f"{did_you_mean(known[0], found)}"
        )
    return first


def collections(table: FileTable) -> list[str]:
    """Return the collections of a file."""
    return list(dict.fromkeys(name.partition(".")[0] for name in table.names if "." in name))


def of_particles(table: FileTable, collection: str) -> dict[str, str]:
    """Return the branches of reconstructed particles; ``PDG`` is ``type`` in older files."""
    names = {field: f"{collection}.{field}" for field in (*_KINEMATICS, "charge")}
    require(table.names, names.values(), table.path, what="EDM4hep branches")
    code = next(
        (f"{collection}.{one}" for one in ("PDG", "type") if f"{collection}.{one}" in table.names), ""
    )
    return names | ({"PDG": code} if code else {})


def of_jets(table: FileTable, collection: str) -> tuple[dict[str, str], Relation]:
    """Return the branches of stored jets, and their relation to particles."""
    names = {field: f"{collection}.{field}" for field in _KINEMATICS}
    require(table.names, names.values(), table.path, what="EDM4hep branches")
    members = relation(table, collection, "particles")
    if members is None:
        raise DataError(
            f"{table.path}: {collection} has no relation to the particles that its jets are made of"
        )
    return names, members


def of_truth(table: FileTable, collection: str) -> dict[str, str]:
    """Return the branches of the generator's particles."""
    names = {field: f"{collection}.{field}" for field in ("PDG", "generatorStatus", *_KINEMATICS[:3])}
    require(table.names, names.values(), table.path, what="EDM4hep branches")
    return names


def of_states(table: FileTable, collection: str) -> dict[str, str]:
    """Return the branches of the states of tracks; nothing in files without."""
    member, number = _STATES
    prefix = _spelled(table, collection, member, number, "D0")
    if prefix is None or f"{collection}.{member}_begin" not in table.names:
        return {}
    names = {"begin": f"{collection}.{member}_begin", "end": f"{collection}.{member}_end"}
    names |= {field: f"{prefix}.{field}" for field in _STATE}
    require(table.names, names.values(), table.path, what="EDM4hep branches")
    # Of an RNTuple the structure around the values has a name as well, which is shorter.
    covariances = [name for name in table.names if name.startswith(f"{prefix}.covMatrix")]
    return names | ({"covariance": max(covariances, key=len)} if covariances else {})


def of_leptons(table: FileTable) -> dict[int, str]:
    """Return the links of the collections of electrons, muons and photons that fast simulation writes."""
    there = set(table.names)
    ways = {
        code: (f"{name}_objIdx.index", f"{name}#0.index")
        for name, code in (("Electron", 11), ("Muon", 13), ("Photon", 22))
    }
    return {code: way for code, two in ways.items() for way in two if way in there}


def relation(table: FileTable, collection: str, member: str) -> Relation | None:
    """Return the branches of a relation; None where a file has none."""
    prefix = _spelled(table, collection, member, _NUMBER[member], "index", mark="#")
    begin, end = (f"{collection}.{member}_{part}" for part in ("begin", "end"))
    if prefix is None or not {begin, end, f"{prefix}.collectionID"} <= set(table.names):
        return None
    return Relation(begin, end, f"{prefix}.index", f"{prefix}.collectionID")


def _spelled(
    table: FileTable, collection: str, member: str, number: int, field: str, *, mark: str = "_"
) -> str | None:
    ways = (f"_{collection}_{member}", f"{collection}{mark}{number}")
    return next((way for way in ways if f"{way}.{field}" in table.names), None)


def collection_names(path: DataFile) -> dict[int, str]:
    """Return the names of collections by their numbers, from the file's own table; {} in files without."""
    for tree in _TABLES:
        try:
            with open_table(path, tree) as table:
                ends = ("m_collectionIDs", "m_names")
                pair = [
                    next(
                        (name for name in table.names if name.endswith(end) and _of_events(name, table)), None
                    )
                    for end in ends
                ]
                if None in pair:
                    continue
                (first, *_) = table.chunks([str(name) for name in pair], 1)
                numbers, names = (first[str(name)].to_list()[0] for name in pair)
                return dict(zip(numbers, names, strict=True))
        except DataError:
            continue
    return {}


def _of_events(name: str, table: FileTable) -> bool:
    """Tell whether a table is that of the frames of events, where there are several."""
    return name.startswith("events___") or not any(one.startswith("events___") for one in table.names)
