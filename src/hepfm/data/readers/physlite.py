"""ATLAS DAOD_PHYSLITE: jets with tracks, or with the objects that their links lead to (ROOT)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pydantic

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Field, Level, Schema
from hepfm.data.maps.classes import from_codes, refuse_unknown
from hepfm.data.maps.config import Classes
from hepfm.data.readers.base import sort_by_pt
from hepfm.data.readers.event_files import (
    EVENT_FIELDS,
    EVENT_ROWS,
    EventFileConfig,
    event_ids,
    same_lists,
)
from hepfm.data.readers.physics import constituent_fields
from hepfm.data.readers.physlite_constituents import JetInputs, flow_objects, in_cone, tracks
from hepfm.data.readers.physlite_layout import PhysliteLayout, find_layout, links
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import EVENT_ID, JET_FIELDS, KINEMATIC_CONSTITUENT_FIELDS
from hepfm.data.tables.base import FileTable, as_column
from hepfm.data.tables.open import open_table
from hepfm.physics.kinematics import energy_of

_MEV = 1e-3
_TRACK_FIELDS = ("part_charge", "part_d0", "part_d0_error", "part_dz", "part_dz_error")


class PhysliteReader:
    r"""Reads the jets of one container, and what they are made of as far as the file has it.

    - PHYSLITE keeps no flow objects: the links ``constituentLinks`` of large jets lead to a container that is
      not in the file. What it has are tracks: those that are ghost-associated with small jets
      (``GhostTrack``), and for any jet those within a cone. Derivations that keep flow objects are read by
      their links; the option `containers` names what a link's key stands for, as files do not say it in
      their tree of events.
    - The jet is ATLAS's own, calibrated. Tracks are the charged part of it only.
    - Links to objects that were thinned away (key 0) are left out, and jets without constituents as well.
    - MeV become GeV. Tracks have the mass of the charged pion, and no type.
    - ``d0`` is counted from the beam line and gets JetClass's sign; ``z0`` becomes the distance from the
      primary vertex.
    - Of several generator weights (``mcEventWeights``) the first, the nominal one, is taken.
    """

    endings: ClassVar = (".root", ".parquet")

    class Config(EventFileConfig):
        """Options, with those of `EventFileConfig`; the weight is e.g. ``EventInfoAuxDyn.mcEventWeights``.

        Attributes
        ----------
        jets
            Container of the jets: ``AnalysisLargeRJets`` (R = 1.0), ``AnalysisJets`` (R = 0.4) ...
        constituents
            ``links`` (what the jets were made of), ``ghost_tracks`` or ``cone_tracks``; null for the first of
            links and ghost tracks that the file has.
        containers
            Container by the key of links, ``{1036585512: UFOCSSK}``, for the constituents ``links``.
        cone
            Distance in eta and phi from the jet within which tracks are taken as ``cone_tracks``.
        max_z0_sin_theta
            Largest abs(z0 sin(theta)) of tracks from the primary vertex, mm; null for any.
        label
            Class by the numbers of a field of the jets:
            ``{take: R10TruthLabel_R22v1, codes: {1: Tbqq, 10: QCD}, otherwise: other}``.
        observers
            Further numbers of the jets to carry along under their own names: ``[D2, Tau1_wta]``.
        tree
            The tree of events.
        """

        jets: str = "AnalysisLargeRJets"
        constituents: Literal["links", "ghost_tracks", "cone_tracks"] | None = None
        containers: dict[int, str] = pydantic.Field(default_factory=dict)
        cone: float = pydantic.Field(1.0, gt=0)
        max_z0_sin_theta: float | None = pydantic.Field(None, gt=0)
        label: Classes | None = None
        observers: tuple[str, ...] = ()
        tree: str = "CollectionTree"

        @pydantic.model_validator(mode="after")
        def _check(self) -> PhysliteReader.Config:
            label = self.label
            if label is not None and (label.take is None or not isinstance(label.codes, dict)):
                raise ValueError(
                    "label: 'take' (a field of the jets) and 'codes' (class by number) are needed"
                )
            if label is not None and self.jet_class is not None:
                raise ValueError("either label or jet_class")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title of the format; files do not say of which data set they are."""
        return {"title": "ATLAS DAOD_PHYSLITE"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of the fields that the file has branches of."""
        with self._open(path) as table:
            layout = self._layout(table)
            names = [field.name for field in (*JET_FIELDS, *KINEMATIC_CONSTITUENT_FIELDS, *EVENT_FIELDS)]
            if layout.containers:
                names += ["part_charge"] if all("charge" in one for one in layout.containers.values()) else []
            else:
                names += _TRACK_FIELDS
            observers = tuple(
                Field(name, Level.OBJECT, description=f"{name} of {self.config.jets}, as the file has it")
                for name in self.config.observers
            )
            label = self.config.label
            return self.config.schema_of(
                [*names, *self.config.observers],
                (*EVENT_FIELDS, *observers),
                classes=label.classes if label else (),
            )

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file that are selected and have constituents."""
        with self._open(path) as table:
            layout = self._layout(table)
            return sum(len(self._rows(piece, layout, path).jet) for piece in _pieces(table, layout))

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with self._open(path) as table:
            layout = self._layout(table)
            for piece in _pieces(table, layout):
                rows = self._rows(piece, layout, path)
                if len(rows.jet):
                    yield self._jets(piece, layout, rows, path)

    def _open(self, path: DataFile) -> FileTable:
        return open_table(path, self.config.tree)

    def _layout(self, table: FileTable) -> PhysliteLayout:
        config = self.config
        jet_fields = [*config.observers, *([config.label.take] if config.label and config.label.take else [])]
        layout = find_layout(
            table,
            config.jets,
            constituents=config.constituents,
            containers=config.containers,
            more=jet_fields,
        )
        if config.weight is not None and config.weight not in table.names:
            raise DataError(
                f"{table.path} has no branch {config.weight!r} for the option weight"
                f"{did_you_mean(config.weight, table.names)}"
            )
        return replace(layout, weight=config.weight)

    def _rows(self, piece: _Piece, layout: PhysliteLayout, path: DataFile) -> _Rows:
        """Return the jets of a piece that are kept, and their constituents."""
        eta, phi, pt = (piece.lists(layout.jets[name], path) for name in ("eta", "phi", "pt"))
        selected = self.config.selected(pt.values * _MEV, eta.values)
        if layout.constituents == "links":
            objects, jet, place = self._linked(piece, layout, eta, path)
        else:
            objects = tracks(piece.arrays, piece.columns, layout.tracks, path)
            jet, place = (
                in_cone(eta, phi.values, objects, self.config.cone)
                if layout.constituents == "cone_tracks"
                else _of_links(piece, layout, eta, {None: (objects.lengths, 0)}, path)
            )
        keep = selected[jet] & (np.hypot(*objects.momenta[:2])[place] > 0)
        if self.config.max_z0_sin_theta is not None and layout.constituents != "links":
            px, py, pz, _ = objects.momenta
            sine = np.hypot(px, py) / np.sqrt(px**2 + py**2 + pz**2)
            keep &= np.abs(objects.fields["part_dz"] * sine)[place] <= self.config.max_z0_sin_theta
        jet, place = jet[keep], place[keep]
        counts = np.bincount(jet, minlength=len(eta.values))
        kept = np.flatnonzero(counts)
        order = np.argsort(jet, kind="stable")
        return _Rows(kept, counts[kept], eta.row_index()[kept], place[order], objects)

    def _linked(
        self, piece: _Piece, layout: PhysliteLayout, eta: Ragged, path: DataFile
    ) -> tuple[JetInputs, Array, Array]:
        """Return the objects of all containers one after the other, and the links to them."""
        found = {key: flow_objects(piece.columns, names, path) for key, names in layout.containers.items()}
        sizes, start = {}, 0
        for key, part in found.items():
            sizes[key] = (part.lengths, start)
            start += int(part.lengths.sum())
        jet, place = _of_links(piece, layout, eta, sizes, path)
        shared = set.intersection(*(set(part.fields) for part in found.values()))
        fields = {name: np.concatenate([part.fields[name] for part in found.values()]) for name in shared}
        momenta = np.concatenate([part.momenta for part in found.values()], axis=1)
        lengths = sum(part.lengths for part in found.values())
        return JetInputs(np.asarray(lengths), momenta, fields), jet, place

    def _jets(
        self, piece: _Piece, layout: PhysliteLayout, rows: _Rows, path: DataFile
    ) -> dict[str, Array | Ragged]:
        names = list(layout.jets.values())
        of_jets = dict(zip(layout.jets, same_lists(piece.columns, names, path), strict=True))
        values = {name: column.values[rows.jet].astype(np.float64) for name, column in of_jets.items()}
        pt, mass = values["pt"] * _MEV, np.maximum(values["m"], 0) * _MEV
        energy = energy_of(pt, values["eta"], mass)
        flat = {"jet_pt": pt, "jet_eta": values["eta"], "jet_phi": values["phi"], "jet_energy": energy}
        flat |= {name: values[name] for name in self.config.observers}
        momenta = rows.objects.momenta[:, rows.place]
        return sort_by_pt(
            {
                **{name: column.astype(np.float32) for name, column in flat.items()},
                **_event(piece, layout, rows.event, path),
                **self._label(values, rows, path),
                **self.config.label_of_file(path, len(rows.jet)),
                **self._weights(piece, rows.event, path),
                **constituent_fields(*momenta, lengths=rows.lengths),
                **{
                    name: Ragged.from_lengths(column[rows.place], rows.lengths)
                    for name, column in rows.objects.fields.items()
                },
            }
        )

    def _label(self, values: Mapping[str, Array], rows: _Rows, path: DataFile) -> dict[str, Array]:
        label = self.config.label
        if label is None or label.take is None:
            return {}
        codes = values[label.take]
        numbers = from_codes(codes, label, label.classes)
        refuse_unknown(numbers, codes, label.take, label, where=str(path), rows=rows.event)
        return {"jet_label": numbers}

    def _weights(self, piece: _Piece, event: Array, path: DataFile) -> dict[str, Array]:
        weight = self.config.weight
        if weight is None:
            return {}
        column = piece.columns[weight]
        if isinstance(column, Ragged) and (column.lengths > 0).all():
            column = column.values[column.offsets[:-1]]
        return self.config.weights({weight: column}, event, path)


@dataclass(frozen=True)
class _Piece:
    """Branches of some events, as awkward arrays; numbers and lists of numbers as columns too."""

    arrays: Mapping[str, Any]
    columns: Columns

    def lists(self, name: str, path: DataFile) -> Ragged:
        (column,) = same_lists(self.columns, [name], path)
        return column


@dataclass(frozen=True)
class _Rows:
    """Jets of a piece that are kept.

    Attributes
    ----------
    jet, lengths, event
        Place among the jets of the piece, number of constituents and event of each.
    place
        Places of their constituents among the objects, jet after jet.
    objects
        What they are made of.
    """

    jet: Array
    lengths: Array
    event: Array
    place: Array
    objects: JetInputs


def _pieces(table: FileTable, layout: PhysliteLayout) -> Iterator[_Piece]:
    for arrays in table.chunks(layout.names, EVENT_ROWS):
        flat = {name: array for name, array in arrays.items() if array.ndim < 3 and not array.fields}
        columns = {name: as_column(array, name, table.path) for name, array in flat.items()}
        yield _Piece(arrays, columns)


def _of_links(
    piece: _Piece,
    layout: PhysliteLayout,
    jets: Ragged,
    sizes: Mapping[int | None, tuple[Array, int]],
    path: DataFile,
) -> tuple[Array, Array]:
    """Return jet and object of each link that leads somewhere.

    Parameters
    ----------
    sizes
        Of each container, by its key (None for any but 0): objects in each event, and the place of the first
        of all.
    """
    key, index = links(piece.arrays, layout, path)
    if len(key) != len(jets.values):
        raise DataError(
            f"{path}: branch {layout.links[0]!r} and those of {layout.jets['pt']!r} differ in length"
        )
    unknown = sorted(set(np.unique(key.values).tolist()) - {0, *(one for one in sizes if one is not None)})
    if unknown and None not in sizes:
        raise ConfigError(
            f"{path}: constituents lead to containers with the keys {', '.join(map(str, unknown))}, of which "
            "the option containers names none; PHYSLITE itself keeps no flow objects: "
            "--set constituents=cone_tracks"
        )
    event = jets.row_index()
    found = []
    for wanted, (lengths, start) in sizes.items():
        kept = key.values != 0 if wanted is None else key.values == wanted
        jet, number = key.row_index()[kept], index.values[kept].astype(np.int64)
        if (number >= lengths[event[jet]]).any():
            raise DataError(f"{path}: the links {layout.links[0]} point beyond an event's end")
        found.append((jet, start + (np.cumsum(lengths) - lengths)[event[jet]] + number))
    jet, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return jet, place


def _event(piece: _Piece, layout: PhysliteLayout, event: Array, path: DataFile) -> dict[str, Array]:
    numbers = [np.asarray(piece.columns[name]).astype(np.int64) for name in layout.event]
    fields = {field.name: values for field, values in zip(EVENT_FIELDS, numbers, strict=False)}
    fields[EVENT_ID.name] = event_ids(*numbers)
    return {name: values[event] for name, values in fields.items()}
