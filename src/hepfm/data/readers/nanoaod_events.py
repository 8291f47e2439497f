"""Whole events of CMS NanoAOD: jets, leptons, photons and missing momentum (ROOT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hepfm.data.maps.object_config import RecordMap
from hepfm.data.maps.objects import MappedRecord, Names
from hepfm.data.readers.base import require
from hepfm.data.readers.event_files import EVENT_FIELDS
from hepfm.data.readers.event_objects import Collection, EventObjectsReader
from hepfm.data.readers.event_options import EventObjectsConfig
from hepfm.data.readers.nanoaod_layout import EVENT
from hepfm.data.tables.base import FileTable

_MOMENTUM = {name: name for name in ("pt", "eta", "phi", "mass")}
_LEPTON = {**_MOMENTUM, "charge": "charge"}
_B_TAGS = ("btagUParTAK4B", "btagPNetB", "btagDeepFlavB", "btagDeepB")
_PARTONS = ("Generator_id1", "Generator_id2")
_IS_HARD = 1 << 7
"""The bit of ``GenPart_statusFlags`` of particles of the hard process."""
_INCOMING = 21
"""Pythia's status of incoming partons."""


class NanoAodEventsReader(EventObjectsReader):
    """Reads whole events of NanoAOD; a row is an event, with its objects.

    - Any NanoAOD will do, with or without candidates.
    - By default jets have no identification but that of the files, which differs between versions; electrons
      pass the loose cut-based one, muons the loose one and loose isolation, taus the medium one against jets,
      photons the loose cut-based one.
    - The b tag is the score of the newest tagger that the file has; scores of jets without one (negative in
      the files) become 0. Which it was stands in the provenance of the store.
    - Missing momentum is that of PUPPI; ``--set met=MET`` takes another.
    - Generator objects are particles of ``GenPart`` that are flagged to be of the hard process; incoming
      partons are those of ``Generator``.
    """

    endings: ClassVar = (".root",)
    title: ClassVar = "CMS NanoAOD"
    collections: ClassVar[Mapping[str, Collection]] = {
        "jet": Collection("Jet", _MOMENTUM, (), tuple(f"maximum({name}, 0)" for name in _B_TAGS)),
        "electron": Collection("Electron", _LEPTON, ("cutBased >= 2",)),
        "muon": Collection("Muon", _LEPTON, ("looseId & (pfIsoId >= 2)",)),
        "tau": Collection(
            "Tau",
            _LEPTON,
            # The newest counts working points from 1, the others have a bit for each.
            (
                "idDeepTau2018v2p5VSjet >= 5",
                "(idDeepTau2017v2p1VSjet & 16) != 0",
                "(idMVAoldDM2017v2 & 8) != 0",
                "(idMVAoldDM & 4) != 0",
            ),
        ),
        "photon": Collection("Photon", {name: name for name in ("pt", "eta", "phi")}, ("cutBased >= 1",)),
        "met": Collection("", {"pt": "pt", "phi": "phi"}),
    }

    class Config(EventObjectsConfig):
        """Options; those of `EventObjectsConfig`."""

        met: str | None = "PuppiMET"
        tree: str = "Events"

    def names_of(self, table: FileTable, collection: str) -> Names:
        """Return the branches of a collection by the last part of their names."""
        start = f"{collection}_"
        return {name.removeprefix(start): name for name in table.names if name.startswith(start)}

    def event_branches(self, table: FileTable) -> Mapping[str, str]:
        """Return the branches of run, luminosity block and number."""
        require(table.names, EVENT, table.path, what="NanoAOD branches")
        return {field.name: branch for field, branch in zip(EVENT_FIELDS, EVENT, strict=True)}

    def record(self, table: FileTable) -> MappedRecord:
        """Return the particles of ``GenPart``."""
        names = self.names_of(table, "GenPart")
        needed = ("pdgId", "genPartIdxMother", "statusFlags", "status", *_MOMENTUM)
        require(names, needed, table.path, what="generator's branches GenPart_*:")
        spec = {
            **_MOMENTUM,
            "pdg": "pdgId",
            "mother": "genPartIdxMother",
            "hard": f"((statusFlags & {_IS_HARD}) != 0) & (status != {_INCOMING})",
            "partons": _PARTONS if set(_PARTONS) <= set(table.names) else None,
        }
        known = {**names, **{name: name for name in _PARTONS if name in table.names}}
        return MappedRecord(RecordMap.model_validate(spec), known)
