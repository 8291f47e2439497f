"""Whole events of Delphes (1307.6346): jets, leptons, photons and missing momentum (ROOT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hepfm.data.maps.object_config import RecordMap
from hepfm.data.maps.objects import MappedRecord, Names
from hepfm.data.readers.base import require
from hepfm.data.readers.event_objects import Collection, EventObjectsReader
from hepfm.data.readers.event_options import EventObjectsConfig
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable
from hepfm.physics.pdg import ELECTRON, MASSES, MUON

_DIRECTION = {"pt": "PT", "eta": "Eta", "phi": "Phi"}
_JET = {**_DIRECTION, "mass": "Mass"}
_NUMBER = "Event.Number"
_PARTONS = ("Event.ID1", "Event.ID2")


class DelphesEventsReader(EventObjectsReader):
    """Reads whole events of Delphes's tree; a row is an event, with its objects.

    - Leptons and photons are those that the card has found to be isolated; jets have no identification.
    - The b tag is the first working point of the card, the lowest bit of ``BTag``.
    - A hadronic tau is a jet with ``TauTag``, and has its momentum and charge. With the option `overlap` such
      a jet is the tau only.
    - Electrons and muons have their masses, photons and missing momentum none. The eta of Delphes's missing
      momentum is not read.
    - Generator objects are particles of Pythia's status 22 and 23. Where ``Event.ID1`` is 0, the initial
      state is not known: ``other``.
    """

    endings: ClassVar = (".root", ".parquet")
    title: ClassVar = "Delphes"
    collections: ClassVar[Mapping[str, Collection]] = {
        "jet": Collection("Jet", _JET, (), ("BTag & 1",)),
        "electron": Collection("Electron", {**_DIRECTION, "mass": str(MASSES[ELECTRON]), "charge": "Charge"}),
        "muon": Collection("Muon", {**_DIRECTION, "mass": str(MASSES[MUON]), "charge": "Charge"}),
        "tau": Collection("Jet", {**_JET, "charge": "Charge"}, ("TauTag != 0",)),
        "photon": Collection("Photon", _DIRECTION),
        "met": Collection("", {"pt": "MET", "phi": "Phi"}),
    }

    class Config(EventObjectsConfig):
        """Options; those of `EventObjectsConfig`."""

        met: str | None = "MissingET"
        tree: str = "Delphes"

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title and paper of Delphes, and the selections."""
        return {**super().source(path), "paper": "1307.6346"}

    def names_of(self, table: FileTable, collection: str) -> Names:
        """Return the branches of a collection by the last part of their names."""
        start = f"{collection}."
        return {name.removeprefix(start): name for name in table.names if name.startswith(start)}

    def event_branches(self, table: FileTable) -> Mapping[str, str]:
        """Return the branch of the event's number."""
        require(table.names, [_NUMBER], table.path, what="Delphes branches")
        return {"event_number": _NUMBER}

    def record(self, table: FileTable) -> MappedRecord:
        """Return the particles of the branch ``Particle``."""
        names = self.names_of(table, "Particle")
        needed = ("PID", "M1", "Status", "E", *_DIRECTION.values())
        require(names, needed, table.path, what="generator's branches Particle.*:")
        spec = {
            **_DIRECTION,
            "energy": "E",
            "pdg": "PID",
            "mother": "M1",
            "hard": "(Status == 22) | (Status == 23)",
            "partons": _PARTONS if set(_PARTONS) <= set(table.names) else None,
        }
        known = {**names, **{name: name for name in _PARTONS if name in table.names}}
        return MappedRecord(RecordMap.model_validate(spec), known)
