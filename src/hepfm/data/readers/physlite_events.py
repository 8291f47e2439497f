"""Whole events of ATLAS DAOD_PHYSLITE: jets, leptons, photons and missing momentum (ROOT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.data.hard_process import NO_MOTHER
from hepfm.data.maps.arrays import Piece
from hepfm.data.maps.object_config import RecordMap
from hepfm.data.maps.objects import MappedRecord, Names
from hepfm.data.readers.base import require
from hepfm.data.readers.event_files import EVENT_FIELDS
from hepfm.data.readers.event_objects import Collection, EventObjectsReader
from hepfm.data.readers.event_options import EventObjectsConfig
from hepfm.data.readers.physlite_layout import event_branches, link_branches
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable
from hepfm.physics.pdg import ELECTRON, MASSES, MUON

_DIRECTION = {"pt": "pt", "eta": "eta", "phi": "phi"}
_MEV = 1e3
_RECORD, _VERTICES = "HardScatterParticles", "HardScatterVertices"
_MEMBERS = ("m_persKey", "m_persIndex")
_MOTHER = "mother"
_PARTONS = ("TruthEventsAuxDyn.PDGID1", "TruthEventsAuxDyn.PDGID2")
_B_TAGS = tuple(
    f"`BTagging_AntiKt4EMPFlowAuxDyn.{name}_pb`" for name in ("GN2v01", "GN2v00", "DL1dv01", "DL1r")
)


class PhysliteEventsReader(EventObjectsReader):
    """Reads whole events of PHYSLITE; a row is an event, with its objects. MeV become GeV.

    - By default jets pass the vertex tagger, electrons the loose likelihood, muons are of loose quality, taus
      pass the loose cut against jets, photons the loose identification; calibrations are those of the file.
    - The b tag is the probability of a b jet by the newest tagger that the file has.
    - PHYSLITE has no final missing momentum: analyses build it of their own objects. Here it is what balances
      the selected objects, without a soft term; ``--set met=NAME`` takes a container of a derivation that
      has one entry for each event.
    - Generator objects are the outgoing particles of ``HardScatterParticles``. Where the generator kept no
      resonances, as Sherpa does, there are no roles.
    - Of several generator weights (``mcEventWeights``) the first, the nominal one, is taken.
    """

    endings: ClassVar = (".root", ".parquet")
    title: ClassVar = "ATLAS DAOD_PHYSLITE"
    unit: ClassVar = "MeV"
    made: ClassVar = frozenset({_MOTHER})
    collections: ClassVar[Mapping[str, Collection]] = {
        "jet": Collection("AnalysisJets", {**_DIRECTION, "mass": "m"}, ("NNJvtPass != 0",), _B_TAGS),
        "electron": Collection(
            "AnalysisElectrons",
            {**_DIRECTION, "mass": str(MASSES[ELECTRON] * _MEV), "charge": "charge"},
            ("DFCommonElectronsLHLoose != 0",),
        ),
        "muon": Collection(
            "AnalysisMuons",
            {**_DIRECTION, "mass": str(MASSES[MUON] * _MEV), "charge": "charge"},
            ("(quality & 7) <= 2",),
        ),
        "tau": Collection(
            "AnalysisTauJets",
            {**_DIRECTION, "mass": "m", "charge": "charge"},
            ("JetDeepSetLoose != 0", "(isTauFlags & 1) != 0"),
        ),
        "photon": Collection("AnalysisPhotons", _DIRECTION, ("DFCommonPhotonsIsEMLoose != 0",)),
        "met": Collection("", {"pt": "hypot(mpx, mpy)", "phi": "phi(mpx, mpy)"}),
    }

    class Config(EventObjectsConfig):
        """Options, those of `EventObjectsConfig`; the weight is e.g. ``EventInfoAuxDyn.mcEventWeights``."""

        tree: str = "CollectionTree"

    def names_of(self, table: FileTable, collection: str) -> Names:
        """Return the branches of a container by their last names, and those of b tagging by all of them."""
        starts = tuple(f"{collection}{store}{dot}" for store in ("AuxDyn", "Aux") for dot in (".", ":"))
        found = {
            name[len(start) :]: name for name in table.names for start in starts if name.startswith(start)
        }
        tags = {name: name for name in table.names if name.startswith("BTagging_")}
        return found | tags if found else {}

    def event_branches(self, table: FileTable) -> Mapping[str, str]:
        """Return the branches of run, luminosity block and number."""
        return {
            field.name: branch for field, branch in zip(EVENT_FIELDS, event_branches(table), strict=False)
        }

    def record(self, table: FileTable) -> MappedRecord:
        """Return the particles of the hard process."""
        names = self.names_of(table, _RECORD)
        require(names, ("pdgId", "px", "py", "pz", "e"), table.path, what=f"branches {_RECORD}*:")
        there = set(_PARTONS) <= set(table.names)
        spec = {
            "pdg": "pdgId",
            "mother": _MOTHER,
            "hard": f"{_MOTHER} >= 0",
            "pt": "pt(px, py)",
            "eta": "eta(px, py, pz)",
            "phi": "phi(px, py)",
            "energy": "e",
            "unit": self.unit,
            "partons": _PARTONS if there else None,
        }
        known = {**names, _MOTHER: _MOTHER, **({name: name for name in _PARTONS} if there else {})}
        return MappedRecord(RecordMap.model_validate(spec), known)

    def made_of(self, table: FileTable) -> tuple[str, ...]:
        """Return the links from particles to vertices, and from these to what goes into them."""
        names = set(table.names)
        to_vertex = link_branches(names, _RECORD, "prodVtxLink")
        to_particles = link_branches(names, _VERTICES, "incomingParticleLinks")
        if not to_vertex or not to_particles:
            raise DataError(
                f"{table.path} lacks the links {_RECORD}: prodVtxLink, {_VERTICES}: incomingParticleLinks "
                "of the generator's particles; read it without: --set generator=false"
            )
        return (*to_vertex, *to_particles)

    def derived(self, piece: Mapping[str, Any], path: DataFile) -> Mapping[str, Any]:
        """Return branches with the mother of each particle: the first one that goes into its vertex."""
        import awkward as ak

        key, index = (_member(piece, f"{_RECORD}Aux", "prodVtxLink", name) for name in _MEMBERS)
        incoming = _member(piece, f"{_VERTICES}Aux", "incomingParticleLinks", _MEMBERS[1])
        if index is None or incoming is None:
            return piece
        first = ak.fill_none(ak.firsts(incoming, axis=-1), NO_MOTHER)
        vertices = ak.to_numpy(ak.num(first, axis=1))
        has, place = (
            Ragged.from_lengths(ak.to_numpy(ak.flatten(part)), ak.to_numpy(ak.num(part)))
            for part in (key != 0, index)
        )
        event = place.row_index()
        if (has.values & (place.values >= vertices[event])).any():
            raise DataError(f"{path}: the links {_RECORD}: prodVtxLink point beyond an event's end")
        start = (np.cumsum(vertices) - vertices)[event]
        mothers = np.full(len(event), NO_MOTHER)
        flat = ak.to_numpy(ak.flatten(first)).astype(np.int64)
        mothers[has.values] = flat[(start + place.values)[has.values]]
        return {**_plain(piece), _MOTHER: ak.unflatten(mothers, place.lengths)}

    def weight_column(self, piece: Piece) -> Array | Ragged:
        """Return the first of the weights of each event."""
        column = super().weight_column(piece)
        if isinstance(column, Ragged) and (column.lengths > 0).all():
            return column.values[column.offsets[:-1]]
        return column


def _member(piece: Mapping[str, Any], start: str, field: str, member: str) -> Any:
    """Return a member of links, which have a branch each or one together; None where there are no links."""
    for name, array in piece.items():
        if name.startswith(start) and name.endswith(field):
            return array[member]
        if name.startswith(start) and name.endswith(f"{field}.{member}"):
            return array
    return None


def _plain(piece: Mapping[str, Any]) -> dict[str, Any]:
    """Return the branches that hold numbers, not links."""
    return {name: array for name, array in piece.items() if not array.fields}
