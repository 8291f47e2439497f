"""The LHC Olympics 2020 (2101.08320): events of up to 700 particles, HDF5 as pandas writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core.errors import DataError
from hepfm.core.files import read_text
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import sort_by_pt
from hepfm.data.readers.cuts import MomentumCuts
from hepfm.data.readers.event_files import EVENT_ROWS, event_ids
from hepfm.data.readers.physics import jet_fields
from hepfm.data.remote import DataFile, RemoteFile
from hepfm.data.schemas.dijets import DIJET_CLASSES, DIJET_MASS
from hepfm.data.schemas.jets import EVENT_ID, jet_schema
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.open import open_table
from hepfm.physics.clustering import Jets, cluster_jets
from hepfm.physics.kinematics import mass_of, pseudorapidity, wrap_phi
from hepfm.physics.substructure import substructure

_KEY = ".masterkey"
_FEATURES = "pxj1"
"""A column of the files of high-level features."""
_LARGEST = 1e7
"""Energy of a particle in GeV beyond which a file is damaged: some hundred times that of the beams."""


class LhcoReader:
    """Reads ``events_anomalydetection*.h5`` and the black boxes: rows are jets, clustered by FastJet.

    - The columns of an event are pt, eta and phi of each particle in turn, padded with zeros, then the
      truth: in files without that last column (black boxes, ``backgroundMC``) jets have no label.
    - Jets are anti-kT jets of massless particles; they have no charges, types or tracks.
    - The rows of an event are its leading jets, by falling pt, and share `event_id`, the schema's group.
      `event_dijet_mass` is that of the two leading jets within the cuts, also where only one is read.
    """

    endings: ClassVar = (".h5", ".hdf5")

    class Config(MomentumCuts):
        """Options, with those of `MomentumCuts`, of which `min_pt` is 20 GeV.

        Attributes
        ----------
        radius
            R of the jets.
        num_jets
            How many leading jets of each event, of those that pass the cuts; null for all.
        masterkey
            Read the truth of a black box from the published file of the same name that ends in
            ``.masterkey``: a number for each event.
        substructure
            Compute soft-drop mass and N-subjettiness of each jet, which takes three times as long.
        """

        min_pt: float = pydantic.Field(20.0, ge=0)
        radius: float = pydantic.Field(1.0, gt=0)
        num_jets: int | None = pydantic.Field(2, ge=1)
        masterkey: bool = False
        substructure: bool = False

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {
            "title": "LHC Olympics 2020",
            "doi": "10.5281/zenodo.4536377, 10.5281/zenodo.4536624",
            "paper": "2101.08320",
        }

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: kinematics, the truth where it is known, and the event."""
        with open_table(path) as table:
            names, labelled = _columns_of(table)
            classes: tuple[str, ...] = DIJET_CLASSES if labelled else ()
            if self.config.masterkey:
                largest = int(self._key(path, names, table).max(initial=1))
                classes = DIJET_CLASSES + tuple(f"signal_{number}" for number in range(2, largest + 1))
        schema = jet_schema(
            classes,
            identity=False,
            tracks=False,
            substructure=self.config.substructure,
            extra=(DIJET_MASS, EVENT_ID),
        )
        return replace(schema, group=EVENT_ID.name)

    def num_rows(self, path: DataFile) -> None:
        """Return None: the number of jets is known when all events are clustered."""

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with open_table(path) as table:
            names, labelled = _columns_of(table)
            key = self._key(path, names, table) if self.config.masterkey else None
            first = 0
            for piece in table.matrices(names, EVENT_ROWS):
                values = piece.astype(np.float64)
                number = first + np.arange(len(values))
                truth = None if key is None else key[number]
                if labelled:
                    truth = _checked_truth(values[:, -1], number, path, most=1)
                particles = values[:, : len(names) // 3 * 3].reshape(len(values), -1, 3)
                jets = self._jets(particles, number, truth, path)
                if jets is not None:
                    yield jets
                first += len(values)

    def _key(self, path: DataFile, names: list[str], table: FileTable) -> Array:
        """Return the truth of the events of a black box, from the file beside it."""
        if len(names) % 3:
            raise DataError(f"{path} has the truth in its last column; leave the option masterkey out")
        if isinstance(path, RemoteFile):
            raise DataError(f"{path}: a masterkey is read from beside a local file; fetch both files first")
        beside, events = path.with_suffix(_KEY), table.num_rows(names)
        words = read_text(beside, DataError).split()
        try:
            numbers = np.array(words, np.float64)
        except ValueError as error:
            raise DataError(f"{beside} must hold a number for each event: {error}") from None
        if len(numbers) != events:
            raise DataError(f"{beside} has {len(numbers)} numbers, and {path} {events} events")
        return _checked_truth(numbers, np.arange(events), beside, most=9)

    def _jets(
        self, particles: Array, number: Array, truth: Array | None, path: DataFile
    ) -> dict[str, Array | Ragged] | None:
        """Return the jets of events, from pt, eta and phi of their particles, (events, slots, 3)."""
        real = particles[..., 0] != 0
        _check_particles(particles, real, number, path)
        events = np.flatnonzero(real.any(axis=1))
        if not len(events):
            return None
        pt, eta, phi = particles[real].T
        energy = pt * np.cosh(eta)
        p4 = np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
        lengths = real.sum(axis=1)[events]
        found = cluster_jets(p4, lengths, radius=self.config.radius, min_pt=self.config.min_pt)
        jets, dijet_mass = self._leading(found, len(events))
        if not len(jets):
            return None
        event = events[jets.event]
        members = jets.members
        lists = {"pt": pt, "eta": eta, "phi": wrap_phi(phi), "energy": energy}
        rows: dict[str, Array | Ragged] = {
            **jet_fields(*(jets.p4[:, axis] for axis in (1, 2, 3, 0))),
            DIJET_MASS.name: dijet_mass.astype(np.float32),
            EVENT_ID.name: event_ids(number, *particles[:, 0].T)[event],
        }
        if self.config.substructure:
            inner = substructure(p4[members.values], members.lengths, radius=self.config.radius)
            rows["jet_softdrop_mass"] = inner.softdrop_mass.astype(np.float32)
            rows |= {f"jet_tau{n + 1}": inner.tau[:, n].astype(np.float32) for n in range(4)}
        if truth is not None:
            rows["jet_label"] = truth[event]
        for name, values in lists.items():
            rows[f"part_{name}"] = members.with_values(values[members.values].astype(np.float32))
        return sort_by_pt(rows)

    def _leading(self, jets: Jets, num_events: int) -> tuple[Jets, Array]:
        """Return the jets that are read, event by event in falling pt, and the dijet mass of the event."""
        px, py, pz = jets.p4[:, 1:].T
        pt = np.hypot(px, py)
        order = np.lexsort((-pt, jets.event))
        jets = jets.take(order[self.config.selected(pt, pseudorapidity(px, py, pz))[order]])
        counts = np.bincount(jets.event, minlength=num_events)
        place = np.arange(len(jets)) - np.repeat(np.cumsum(counts) - counts, counts)
        pair = np.zeros((num_events, 4))
        np.add.at(pair, jets.event[place < 2], jets.p4[place < 2])
        mass = np.where(counts > 1, mass_of(pair), 0.0)
        kept = place < (len(place) if self.config.num_jets is None else self.config.num_jets)
        jets = jets.take(kept)
        return jets, mass[jets.event]


def _columns_of(table: FileTable) -> tuple[list[str], bool]:
    """Return the columns in their order, and whether the last one is the truth."""
    names = [str(number) for number in range(len(table.names))]
    if _FEATURES in table.names:
        raise DataError(
            f"{table.path} holds high-level features of two jets and no particles; read it as lhco_features, "
            "or take the file of the events, events_anomalydetection_v2.h5"
        )
    if set(names) != set(table.names) or len(names) < 3 or len(names) % 3 == 2:
        shown = ", ".join(table.names[:4])
        raise DataError(
            f"{table.path} is no file of the LHC Olympics: expected columns called 0, 1, 2 ...: pt, eta "
            f"and phi of each particle, then the truth or nothing; found {len(names)}: {shown} ..."
        )
    return names, len(names) % 3 == 1


def _check_particles(particles: Array, real: Array, number: Array, path: DataFile) -> None:
    """Raise `DataError` for momenta with which FastJet could do nothing."""
    pt, eta, phi = np.moveaxis(particles, 2, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        good = (pt > 0) & (pt * np.cosh(eta) < _LARGEST) & np.isfinite(phi)
    bad = real & ~good
    if bad.any():
        event, slot = (int(places[0]) for places in np.nonzero(bad))
        values = ", ".join(f"{value:g}" for value in particles[event, slot])
        raise DataError(
            f"{path}, event {number[event]}: particle {slot} has pt, eta, phi = {values}; expected a "
            f"positive pt in GeV, finite angles and less than {_LARGEST:g} GeV ({int(bad.sum())} such in "
            "this piece of the file)"
        )


def _checked_truth(truth: Array, number: Array, path: DataFile, *, most: int) -> Array:
    """Return numbers of classes; raise `DataError` for one that is none."""
    bad = np.flatnonzero(~np.isin(truth, np.arange(most + 1)))
    if len(bad):
        raise DataError(
            f"{path}, event {number[bad[0]]}: the truth is {truth[bad[0]]:g}; expected 0 (background), 1 "
            f"(signal){' or the number of another signal' if most > 1 else ''}"
        )
    return truth.astype(np.int16)
