"""EDM4hep of Key4hep and FCC: jets, stored or clustered, and their particles (ROOT: TTree or RNTuple)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pydantic

from hepfm.core import config
from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers import edm4hep_layout as layout_of
from hepfm.data.readers.base import sort_by_pt
from hepfm.data.readers.edm4hep_layout import PARTICLES, TRUTH, Edm4hepLayout
from hepfm.data.readers.edm4hep_objects import (
    EventPiece,
    ReconstructedParticles,
    made_of,
    nearest_partons,
    particles,
)
from hepfm.data.readers.event_files import EVENT_FIELDS, EVENT_ROWS, EventFileConfig, event_ids
from hepfm.data.readers.physics import constituent_fields, jet_fields
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
from hepfm.physics.clustering import Jets, cluster_exclusive_jets, cluster_jets

JETS = ("Jet", "RefinedVertexJets", "VertexJets", "Jets")
"""Stored jets that are looked for."""
OTHER = "other"
"""Class of jets without parton."""


class EventClustering(config.Config):
    """How FastJet makes jets of the particles of an event.

    Attributes
    ----------
    algorithm
        ``ee_genkt`` (p = -1: anti-kT for e+e-, whose radius is an angle), ``anti_kt``, or ``durham``:
        exclusive kT for e+e-, which makes `num_jets` of all particles.
    radius
        Of ``ee_genkt`` and ``anti_kt``.
    num_jets
        Of ``durham``; events with fewer particles are left out.
    """

    algorithm: Literal["ee_genkt", "anti_kt", "durham"] = "ee_genkt"
    radius: float = pydantic.Field(1.5, gt=0)
    num_jets: int = pydantic.Field(2, ge=1)


class Partons(config.Config):
    """How the class of a jet follows from the generator's partons: from the nearest one.

    Attributes
    ----------
    classes
        Class by the absolute PDG code.
    status
        Generator status of the partons that count; 23 in Pythia is the hard process.
    max_angle
        Largest angle between jet and parton, rad; jets without a parton are ``other``.
    collection
        Of the generator's particles; null for the first of those known.
    """

    classes: dict[int, str] = pydantic.Field(
        {1: "light", 2: "light", 3: "s", 4: "c", 5: "b", 21: "g"}, min_length=1
    )
    status: tuple[int, ...] = pydantic.Field((23,), min_length=1)
    max_angle: float = pydantic.Field(0.5, gt=0)
    collection: str | None = None


class Edm4hepReader:
    """Reads jets that are stored, or that FastJet makes of the event's particles, with their particles.

    - podio's relations are followed by their ranges and numbers, in the spellings of all its versions: a
      jet's ``particles``, a particle's ``tracks``, a track's ``trackStates``.
    - A stored jet is the file's own; a clustered one is the sum of its particles.
    - The type is that of the reconstructed particle's PDG code. Where that is 0, as for the tracks of fast
      simulation, collections of electrons, muons and photons tell it, and other charged particles are charged
      hadrons.
    - ``D0`` and ``Z0`` are those of a particle's first track, of its state at the interaction point, or the
      first one; ``D0`` has the opposite sign of JetClass's. Both are counted from the origin, as in the file.
    - GeV and mm are EDM4hep's own units.
    - `event_id`, the schema's group, is a hash of run and number of the event, which start again in each
      file, and of the momentum of its first particle.
    """

    endings: ClassVar = (".root", ".parquet")

    class Config(EventFileConfig):
        """Options, with those of `EventFileConfig`; the weight is e.g. ``EventHeader.weight``.

        Attributes
        ----------
        jets
            Collection of stored jets; null for the first of those known.
        clustering
            Cluster jets instead; see `EventClustering`.
        particles
            Collection of the event's particles; null for the first of those known.
        tracks
            Collection of tracks, for impact parameters; null for what the file's table of collections says,
            or the first of those known.
        partons
            Label jets by the generator's partons; see `Partons`.
        tree
            The tree of events.
        """

        jets: str | None = None
        clustering: EventClustering | None = None
        particles: str | None = None
        tracks: str | None = None
        partons: Partons | None = None
        tree: str = "events"

        @pydantic.model_validator(mode="after")
        def _check(self) -> Edm4hepReader.Config:
            if self.jets is not None and self.clustering is not None:
                raise ValueError("either jets, which are stored, or clustering")
            if self.partons is not None and self.jet_class is not None:
                raise ValueError("either partons or jet_class")
            return self

        @property
        def parton_classes(self) -> tuple[str, ...]:
            """Classes by partons, in the order of the option."""
            return tuple(dict.fromkeys([*self.partons.classes.values(), OTHER])) if self.partons else ()

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title of the format; files do not say of which data set they are."""
        return {"title": "EDM4hep"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: kinematics, charge and type, impact parameters where there are tracks."""
        with self._open(path) as table:
            layout = self._layout(table)
            tracks = TRACK_CONSTITUENT_FIELDS if layout.states else ()
            fields = (*JET_FIELDS, *KINEMATIC_CONSTITUENT_FIELDS, *IDENTITY_CONSTITUENT_FIELDS, *tracks)
            extra = tuple(field for field in EVENT_FIELDS if field.name != "event_lumi" and layout.event)
            names = [field.name for field in (*fields, *extra)]
            return self.config.schema_of(names, extra, classes=self.config.parton_classes)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file that are selected and have particles."""
        with self._open(path) as table:
            layout = self._layout(table)
            return sum(len(self._found(piece, layout)[1]) for piece in self._pieces(table, layout))

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with self._open(path) as table:
            layout = self._layout(table)
            for piece in self._pieces(table, layout):
                of_events, jets = self._found(piece, layout)
                if len(jets):
                    yield self._columns(piece, layout, of_events, jets)

    def _open(self, path: DataFile) -> FileTable:
        return open_table(path, self.config.tree)

    def _layout(self, table: FileTable) -> Edm4hepLayout:
        config, names = self.config, set(table.names)
        found = layout_of.chosen(table, config.particles, PARTICLES, "--set particles=NAME")
        jets: dict[str, str] = {}
        members = None
        if config.clustering is None:
            stored = layout_of.chosen(table, config.jets, JETS, "--set jets=NAME, or --set clustering={}")
            jets, members = layout_of.of_jets(table, stored)
        to_tracks = layout_of.relation(table, found, "tracks")
        tracks = self._tracks(table, to_tracks)
        states = layout_of.of_states(table, tracks) if tracks else {}
        truth = {}
        if config.partons:
            generated = layout_of.chosen(
                table, config.partons.collection, TRUTH, "--set partons.collection=NAME"
            )
            truth = layout_of.of_truth(table, generated)
        header = tuple(f"EventHeader.{name}" for name in ("runNumber", "eventNumber"))
        if config.weight is not None and config.weight not in names:
            raise DataError(
                f"{table.path} has no branch {config.weight!r} for the option weight"
                f"{did_you_mean(config.weight, names)}"
            )
        return Edm4hepLayout(
            layout_of.of_particles(table, found),
            jets,
            members,
            to_tracks if states else None,
            states,
            layout_of.of_leptons(table),
            truth,
            header if set(header) <= names else (),
        )

    def _tracks(self, table: FileTable, relation: layout_of.Relation | None) -> str | None:
        """Return the collection that particles' tracks are in; None in files without."""
        if relation is None:
            return None
        if self.config.tracks is not None:
            return layout_of.chosen(table, self.config.tracks, (), "--set tracks=NAME")
        there = layout_of.collections(table)
        known = layout_of.collection_names(table.path)
        for piece in table.chunks([relation.collection], EVENT_ROWS) if known else ():
            numbers = np.unique(_flat(piece[relation.collection]))
            if len(numbers):
                return next((known[one] for one in numbers.tolist() if known.get(one) in there), None)
        return next((one for one in layout_of.TRACKS if one in there), None)

    def _pieces(self, table: FileTable, layout: Edm4hepLayout) -> Iterator[EventPiece]:
        weight = [self.config.weight] if self.config.weight else []
        for arrays in table.chunks(list(dict.fromkeys([*layout.names, *weight])), EVENT_ROWS):
            yield EventPiece(arrays, table.path)

    def _found(self, piece: EventPiece, layout: Edm4hepLayout) -> tuple[ReconstructedParticles, Jets]:
        """Return the particles of some events, and the jets that are kept."""
        of_events = particles(piece, layout)
        p4, lengths = of_events.p4, of_events.lengths
        clustering = self.config.clustering
        if clustering is None:
            jets = made_of(piece, layout, of_events)
        elif clustering.algorithm == "durham":
            jets = cluster_exclusive_jets(p4, lengths, num_jets=clustering.num_jets)
        else:
            jets = cluster_jets(
                p4, lengths, radius=clustering.radius, min_pt=0.0, algorithm=clustering.algorithm
            )
        pt, eta = (
            np.asarray(part) for part in list(jet_fields(*np.roll(jets.p4, -1, axis=1).T).values())[:2]
        )
        row = jets.members.row_index()
        visible = np.hypot(*p4[jets.members.values, 1:3].T) > 0
        has = np.bincount(row[visible], minlength=len(jets)) > 0
        return of_events, jets.take(self.config.selected(pt, eta) & has)

    def _columns(
        self, piece: EventPiece, layout: Edm4hepLayout, of_events: ReconstructedParticles, jets: Jets
    ) -> dict[str, Array | Ragged]:
        place, lengths = jets.members.values, jets.members.lengths
        energy, px, py, pz = of_events.p4[place].T
        flat = {name: column[place] for name, column in of_events.fields.items()}
        return sort_by_pt(
            {
                **jet_fields(*np.roll(jets.p4, -1, axis=1).T),
                **self._event(piece, layout, of_events, jets.event),
                **self._label(piece, layout, jets),
                **self._weights(piece, jets.event),
                **constituent_fields(px, py, pz, energy, lengths=lengths),
                **{name: Ragged.from_lengths(column, lengths) for name, column in flat.items()},
            }
        )

    def _event(
        self, piece: EventPiece, layout: Edm4hepLayout, of_events: ReconstructedParticles, event: Array
    ) -> dict[str, Array]:
        first = np.zeros((len(of_events.lengths), 4))
        has = of_events.lengths > 0
        first[has] = of_events.p4[(np.cumsum(of_events.lengths) - of_events.lengths)[has]]
        numbers = [piece.one_each(name).astype(np.int64) for name in layout.event]
        named = dict(zip(("event_run", "event_number"), numbers, strict=False))
        named[EVENT_ID.name] = event_ids(*numbers, *first.T)
        return {name: values[event] for name, values in named.items()}

    def _label(self, piece: EventPiece, layout: Edm4hepLayout, jets: Jets) -> dict[str, Array]:
        partons = self.config.partons
        if partons is None:
            return self.config.label_of_file(piece.path, len(jets))
        codes = nearest_partons(piece, layout, jets, status=partons.status, max_angle=partons.max_angle)
        classes = self.config.parton_classes
        numbers = np.full(len(jets), classes.index(OTHER), np.int16)
        for code, name in partons.classes.items():
            numbers[codes == abs(code)] = classes.index(name)
        return {"jet_label": numbers}

    def _weights(self, piece: EventPiece, event: Array) -> dict[str, Array]:
        weight = self.config.weight
        columns = {weight: as_column(piece.arrays[weight], weight, piece.path)} if weight else {}
        return self.config.weights(columns, event, piece.path)


def _flat(array: Any) -> Array:
    import awkward as ak

    return np.asarray(ak.to_numpy(ak.flatten(array, axis=None)))
