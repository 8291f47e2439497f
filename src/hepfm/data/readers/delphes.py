"""Output of Delphes (1307.6346): jets and the candidates that they refer to (ROOT)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import require, sort_by_pt
from hepfm.data.readers.delphes_candidates import COLLECTIONS, DelphesCandidates, branches_of, read
from hepfm.data.readers.event_files import EVENT_ROWS, EventFileConfig, event_ids
from hepfm.data.readers.physics import constituent_fields, impact_parameters, particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import (
    EVENT_ID,
    IDENTITY_CONSTITUENT_FIELDS,
    JET_FIELDS,
    KINEMATIC_CONSTITUENT_FIELDS,
    TRACK_CONSTITUENT_FIELDS,
)
from hepfm.data.tables.base import FileTable, as_column
from hepfm.data.tables.open import open_table
from hepfm.physics.kinematics import energy_of, mass_of

JETS = ("JetPUPPIAK8", "FatJet", "JetAK8", "JetPUPPIAK15", "JetAK15", "JetPUPPI", "Jet")
"""Jets that are looked for, large ones first."""

_FIXED = (
    *JET_FIELDS,
    *KINEMATIC_CONSTITUENT_FIELDS,
    *IDENTITY_CONSTITUENT_FIELDS,
    *TRACK_CONSTITUENT_FIELDS,
)
_KINEMATICS = ("PT", "Eta", "Phi", "Mass")
_TAUS, _GROOMED = "Tau[5]", "SoftDroppedJet"
_EVENT, _VERTEX = "Event.Number", "Vertex.Z"


class DelphesReader:
    """Reads the jets of one branch of Delphes's tree, with the candidates that their references name.

    - A jet is Delphes's own. Its constituents are found by the numbers of the objects (``fUniqueID``), never
      by distance. Jets whose candidates are not all in the file are refused: cards for PUPPI write its
      candidates only, so that the jets without PUPPI have lost theirs.
    - ``Eta`` of a ``ParticleFlowCandidate`` is that of its position at the calorimeter, so the direction is
      taken from ``CtgTheta``: then the constituents sum to the jet. JetClass took ``Eta``; `eta: position`
      does the same, and takes the energy from it and the mass.
    - Tracks that Delphes's energy flow has scaled to zero have pt 0 and energy; they are in the jet's sum and
      dropped from its constituents.
    - ``DZ`` is counted from the centre of the detector. Where the file has vertices, it is turned into the
      distance from the first, the one of the largest sum of squared pt.
    - ``PID`` of a track is the true one. Neutral hadrons have 0.
    - N-subjettiness is 0 for all jets where the card does not compute it.
    - `event_id`, the schema's group, is a hash of the number of the event, which starts again in each file,
      and of the momenta of its first jet.
    """

    endings: ClassVar = (".root", ".parquet")

    class Config(EventFileConfig):
        """Options, with those of `EventFileConfig`.

        Attributes
        ----------
        jets
            Branch of the jets; null for the first of `JETS` that the file has.
        candidates
            Branches of the candidates that jets may refer to; those that the file has are read.
        eta
            Direction of particle-flow candidates: that of their ``momentum``, or, as in JetClass, of their
            ``position`` at the calorimeter.
        tree
            The tree of events.
        """

        jets: str | None = None
        candidates: tuple[str, ...] = COLLECTIONS
        eta: Literal["momentum", "position"] = "momentum"
        tree: str = "Delphes"

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title of the format; files do not say which processes and card made them."""
        return {"title": "Delphes", "paper": "1307.6346"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: all constituent fields, and the substructure that the jets have."""
        with self._open(path) as table:
            jets = self._jets_of(table)
            names = [field.name for field in _FIXED]
            names += ["jet_softdrop_mass"] if f"{jets}.{_GROOMED}" in table.names else []
            names += [f"jet_tau{n}" for n in (1, 2, 3, 4)] if f"{jets}.{_TAUS}" in table.names else []
            return self.config.schema_of(names, ())

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file that are selected."""
        with self._open(path) as table:
            names = [f"{self._jets_of(table)}.{name}" for name in ("PT", "Eta", "Constituents")]
            pieces = (list(piece.values()) for piece in table.chunks(names, EVENT_ROWS))
            return sum(int(self._kept(pt, eta, references).sum()) for pt, eta, references in pieces)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with self._open(path) as table:
            jets = self._jets_of(table)
            collections = self._collections(table)
            optional = [f"{jets}.{_TAUS}", f"{jets}.{_GROOMED}", _VERTEX]
            names = [f"{jets}.{name}" for name in (*_KINEMATICS, "Constituents")]
            names += [_EVENT, *([self.config.weight] if self.config.weight else [])]
            names += [name for name in optional if name in table.names]
            names += [name for branches in collections.values() for name in branches.values()]
            for piece in table.chunks(list(dict.fromkeys(names)), EVENT_ROWS):
                columns = self._rows(piece, jets, collections, path)
                if len(columns["jet_pt"]):
                    yield columns

    def _open(self, path: DataFile) -> FileTable:
        return open_table(path, self.config.tree)

    def _jets_of(self, table: FileTable) -> str:
        """Return the branch of the jets, all of whose needed branches are there."""
        there = [name for name in JETS if f"{name}.Constituents" in table.names]
        jets = self.config.jets or next(iter(there), JETS[0])
        weight = [self.config.weight] if self.config.weight else []
        needed = [f"{jets}.{name}" for name in (*_KINEMATICS, "Constituents")]
        require(table.names, [*needed, _EVENT, *weight], table.path, what="Delphes branches")
        return jets

    def _collections(self, table: FileTable) -> dict[str, dict[str, str]]:
        found = [name for name in self.config.candidates if f"{name}.fUniqueID" in table.names]
        if not found:
            raise DataError(
                f"{table.path} has no candidates: none of the branches {', '.join(self.config.candidates)}; "
                "the option candidates names others"
            )
        return {name: branches_of(table, name) for name in found}

    def _kept(self, pt: Any, eta: Any, references: Any) -> Array:
        """Return which jets of a piece are read: selected ones with constituents."""
        import awkward as ak

        counts = ak.to_numpy(ak.num(ak.flatten(_numbers(references)), axis=-1))
        return self.config.selected(*(ak.to_numpy(ak.flatten(values)) for values in (pt, eta))) & (counts > 0)

    def _rows(
        self, piece: dict[str, Any], jets: str, collections: dict[str, dict[str, str]], path: DataFile
    ) -> dict[str, Array | Ragged]:
        import awkward as ak

        of_jets = {name: piece[f"{jets}.{name}"] for name in (*_KINEMATICS, "Constituents")}
        kept = self._kept(of_jets["PT"], of_jets["Eta"], of_jets["Constituents"])
        event = np.repeat(np.arange(len(of_jets["PT"])), ak.to_numpy(ak.num(of_jets["PT"])))[kept]
        numbers = ak.flatten(_numbers(of_jets["Constituents"]))[kept]
        lengths = ak.to_numpy(ak.num(numbers))
        candidates = read(piece, collections, position=self.config.eta == "position", path=path)
        found = candidates.find(np.repeat(event, lengths), ak.to_numpy(ak.flatten(numbers)))
        self._refuse_lost(found, jets, path)
        return sort_by_pt(
            {
                **_jet_fields(piece, jets, kept),
                EVENT_ID.name: _event_ids(piece, jets, path)[event],
                **self.config.label_of_file(path, len(event)),
                **self._weights(piece, event, path),
                **_constituents(candidates, found, lengths, _vertices(piece, event, lengths)),
            }
        )

    def _weights(self, piece: dict[str, Any], event: Array, path: DataFile) -> dict[str, Array]:
        weight = self.config.weight
        columns = {weight: as_column(piece[weight], weight, path)} if weight else {}
        return self.config.weights(columns, event, path)

    def _refuse_lost(self, found: Array, jets: str, path: DataFile) -> None:
        lost = int((found < 0).sum())
        if lost:
            raise DataError(
                f"{path}: of {len(found)} constituents of {jets} {lost} are in none of the branches "
                f"{', '.join(self.config.candidates)}: the jets were made of others, which the file does not "
                "hold, e.g. without PUPPI; read other jets with --set jets=JetPUPPIAK8, or name the branches "
                "with the option candidates"
            )


def _numbers(references: Any) -> Any:
    """Return the numbers of the objects that are referred to: events, jets, references."""
    return references["refs"] if "refs" in references.fields else references


def _flat(piece: dict[str, Any], name: str, kept: Array) -> Array:
    import awkward as ak

    return np.asarray(ak.to_numpy(ak.flatten(piece[name], axis=1))[kept], np.float64)


def _jet_fields(piece: dict[str, Any], jets: str, kept: Array) -> dict[str, Array]:
    import awkward as ak

    pt, eta, phi, mass = (_flat(piece, f"{jets}.{name}", kept) for name in _KINEMATICS)
    fields = {"jet_pt": pt, "jet_eta": eta, "jet_phi": phi, "jet_energy": energy_of(pt, eta, mass)}
    if f"{jets}.{_TAUS}" in piece:
        taus = _flat(piece, f"{jets}.{_TAUS}", kept)
        fields |= {f"jet_tau{n}": taus[:, n - 1] for n in (1, 2, 3, 4)}
    if f"{jets}.{_GROOMED}" in piece:
        groomed = ak.flatten(piece[f"{jets}.{_GROOMED}"])[kept]
        parts = (groomed.fE, groomed.fP.fX, groomed.fP.fY, groomed.fP.fZ)
        fields["jet_softdrop_mass"] = mass_of(np.stack([ak.to_numpy(part) for part in parts], axis=-1))
    return {name: values.astype(np.float32) for name, values in fields.items()}


def _event_ids(piece: dict[str, Any], jets: str, path: DataFile) -> Array:
    import awkward as ak

    number = as_column(piece[_EVENT], _EVENT, path)
    if isinstance(number, Ragged):
        if (number.lengths != 1).any():
            raise DataError(f"{path}: an entry of {_EVENT} does not hold one number")
        number = number.values
    first = (ak.fill_none(ak.firsts(piece[f"{jets}.{name}"]), 0) for name in _KINEMATICS)
    return event_ids(number, *(ak.to_numpy(values) for values in first))


def _vertices(piece: dict[str, Any], event: Array, lengths: Array) -> Array:
    """Return z of the first vertex for each constituent, mm; 0 without vertices."""
    import awkward as ak

    if _VERTEX not in piece:
        return np.zeros(lengths.sum())
    first = ak.to_numpy(ak.fill_none(ak.firsts(piece[_VERTEX]), 0))
    return np.repeat(first[event], lengths)


def _constituents(
    candidates: DelphesCandidates, found: Array, lengths: Array, vertex: Array
) -> dict[str, Array | Ragged]:
    values = {name: column[found] for name, column in candidates.columns.items()}
    tracks = (values["d0"], values["d0_error"], values["dz"] - vertex, values["dz_error"])
    flat: dict[str, Array] = {
        "part_charge": values["charge"].astype(np.float32),
        "part_pid": particle_types(values["pdg"]),
        **impact_parameters(*tracks, charged=values["charge"] != 0),
    }
    return {
        **constituent_fields(*(values[name] for name in ("px", "py", "pz", "energy")), lengths=lengths),
        **{name: Ragged.from_lengths(part, lengths) for name, part in flat.items()},
    }
