"""CMS NanoAOD with particle-flow candidates: official files from version 15, and PFNano (ROOT)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Field, Level, Schema
from hepfm.data.readers.base import require, sort_by_pt
from hepfm.data.readers.cms import JET_AXIS_FIELDS, cms_impact_parameters
from hepfm.data.readers.event_files import (
    EVENT_FIELDS,
    EVENT_ROWS,
    EventFileConfig,
    event_ids,
    same_lists,
)
from hepfm.data.readers.nanoaod_layout import EVENT, MOMENTUM, PUPPI, NanoaodLayout, find_layout
from hepfm.data.readers.physics import charges, constituent_fields, jet_fields, particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import (
    EVENT_ID,
    IDENTITY_CONSTITUENT_FIELDS,
    JET_FIELDS,
    KINEMATIC_CONSTITUENT_FIELDS,
)
from hepfm.data.tables.base import FileTable, as_column
from hepfm.data.tables.open import open_table
from hepfm.physics.kinematics import energy_of

_EXTRA = (
    *JET_AXIS_FIELDS,
    Field("cms_jet_mass", Level.OBJECT, unit="GeV", description="mass of the jet as CMS gives it"),
    *EVENT_FIELDS,
)
_FIXED = (*JET_FIELDS, *KINEMATIC_CONSTITUENT_FIELDS, *IDENTITY_CONSTITUENT_FIELDS, *_EXTRA)
_TRACK = {"part_d0": "d0", "part_d0_error": "d0Err", "part_dz": "dz", "part_dz_error": "dzErr"}
_LARGEST_WEIGHT = 1.001  # files keep 10 bits of a weight


class NanoAodReader:
    r"""Reads the jets of NanoAOD events with the candidates that they are linked to.

    - The jet is the sum of its constituents. CMS's own jet, calibrated, stands in the fields ``cms_jet_*``,
      and `min_pt` and `max_abs_eta` select by it. Uncalibrated its pt is the sum's up to the digits of the
      file, if the constituents are the ones that CMS made it of.
    - AK8 jets are made of candidates with PUPPI weights (1407.6013), AK4 jets only in Run 3. Official files
      hold candidates that are multiplied by them already; in PFNano they are not, and the option `puppi`
      does it.
    - Jets that no candidate is linked to are left out. Official files have candidates for \|eta\| < 2.5 only.
    - Impact parameters are turned from cm to mm and to JetClass's sign, see `cms_impact_parameters`. Those of
      candidates without track details (-1 in the files: neutral or soft ones) become 0.
    - Without a branch of charges they follow from the code, which is negative for positive leptons.
    - Soft-drop masses of -1 (no groomed jet) and other negative ones (rounding) become 0.
    - `event_id`, the schema's group, is a hash of run, luminosity block and event number. In simulation these
      start again in each sample, so the generator's momentum fractions and scale go in as well.
    """

    endings: ClassVar = (".root",)

    class Config(EventFileConfig):
        """Options, with those of `EventFileConfig`.

        Attributes
        ----------
        jets
            ``FatJet`` (AK8) or ``Jet`` (AK4).
        puppi
            Multiply the candidates' four-momenta by their PUPPI weights, and drop those of weight 0.
        tree
            The tree of events.
        """

        jets: Literal["FatJet", "Jet"] = "FatJet"
        puppi: bool = False
        tree: str = "Events"

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the title of the format; files do not say of which data set they are."""
        return {"title": "CMS NanoAOD"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of the fields that the file has branches of."""
        with self._open(path) as table:
            layout = self._layout(table)
            tracks = [name for name, branch in _TRACK.items() if branch in layout.candidates]
            names = [*(field.name for field in _FIXED), *layout.jets]
            return self.config.schema_of([*names, *(tracks if layout.has_tracks else [])], _EXTRA)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file that are selected and have candidates."""
        with self._open(path) as table:
            layout = self._layout(table)
            names = [layout.jets["cms_jet_pt"], layout.jets["cms_jet_eta"], *layout.links]
            names += [layout.candidates[name] for name in ("pt", PUPPI) if name in layout.candidates]
            return sum(len(self._rows(columns, layout, path).jet) for columns in _pieces(table, names))

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        weight = [self.config.weight] if self.config.weight else []
        with self._open(path) as table:
            layout = self._layout(table)
            branches = (*layout.jets.values(), *layout.candidates.values(), *layout.links)
            for columns in _pieces(
                table, list(dict.fromkeys((*EVENT, *layout.generated, *branches, *weight)))
            ):
                rows = self._rows(columns, layout, path)
                if len(rows.jet):
                    yield self._jets(columns, layout, rows, path)

    def _open(self, path: DataFile) -> FileTable:
        return open_table(path, self.config.tree)

    def _layout(self, table: FileTable) -> NanoaodLayout:
        layout = find_layout(table, self.config.jets)
        if self.config.weight is not None:
            require(table.names, [self.config.weight], table.path, what="branch of the option weight,")
        if self.config.puppi and PUPPI not in layout.candidates:
            raise DataError(
                f"{table.path} has no PUPPI weights ({layout.candidates['pt'][:-3]}_{PUPPI}); candidates of "
                "official NanoAOD are multiplied by them already: leave the option puppi out"
            )
        return layout

    def _rows(self, columns: Columns, layout: NanoaodLayout, path: DataFile) -> _Rows:
        """Return the jets of a piece that are kept, and their candidates."""
        jets, eta = (lists(columns, layout.jets[name]) for name in ("cms_jet_pt", "cms_jet_eta"))
        pt = lists(columns, layout.candidates["pt"])
        to_jet, to_candidate = same_lists(columns, layout.links, path)
        event = to_jet.row_index()
        linked = (to_jet.values >= 0) & (to_candidate.values >= 0)
        inside = (to_jet.values < jets.lengths[event]) & (to_candidate.values < pt.lengths[event])
        if (linked & ~inside).any():
            raise DataError(f"{path}: the links {' and '.join(layout.links)} point beyond an event's end")
        jet = (jets.offsets[event] + to_jet.values)[linked]
        candidate = (pt.offsets[event] + to_candidate.values)[linked]
        weight = lists(columns, layout.candidates[PUPPI]).values[candidate] if self.config.puppi else 1
        keep = self.config.selected(jets.values, eta.values)[jet] & (pt.values[candidate] * weight != 0)
        counts = np.bincount(jet[keep], minlength=len(jets.values))
        kept = np.flatnonzero(counts)
        order = np.argsort(jet[keep], kind="stable")
        return _Rows(kept, counts[kept], jets.row_index()[kept], candidate[keep][order])

    def _jets(
        self, columns: Columns, layout: NanoaodLayout, rows: _Rows, path: DataFile
    ) -> dict[str, Array | Ragged]:
        jets = _taken(columns, layout.jets, rows.jet, path)
        candidates = _taken(columns, layout.candidates, rows.candidate, path)
        momenta = _momenta(*(candidates[name].astype(np.float64) for name in MOMENTUM))
        if self.config.puppi:
            momenta = momenta * _checked(candidates[PUPPI].astype(np.float64), path)
        charge = candidates["charge"] if "charge" in candidates else charges(candidates["pdgId"])
        flat: dict[str, Array] = {
            "part_charge": charge.astype(np.float32),
            "part_pid": particle_types(candidates["pdgId"]),
            **(_tracks(candidates, charge != 0) if layout.has_tracks else {}),
        }
        if "jet_softdrop_mass" in jets:
            jets["jet_softdrop_mass"] = np.maximum(jets["jet_softdrop_mass"], 0)
        starts = np.cumsum(rows.lengths) - rows.lengths
        return sort_by_pt(
            {
                **jet_fields(*np.add.reduceat(momenta, starts, axis=1)),
                **{name: values.astype(np.float32) for name, values in jets.items()},
                **_event(columns, layout, rows.event),
                **self.config.label_of_file(path, len(rows.jet)),
                **self.config.weights(columns, rows.event, path),
                **constituent_fields(*momenta, lengths=rows.lengths),
                **{name: Ragged.from_lengths(values, rows.lengths) for name, values in flat.items()},
            }
        )


@dataclass(frozen=True)
class _Rows:
    """Jets of a piece that are kept.

    Attributes
    ----------
    jet, lengths, event
        Place among the jets of the piece, number of candidates and event of each.
    candidate
        Places of their candidates among those of the piece, jet after jet.
    """

    jet: Array
    lengths: Array
    event: Array
    candidate: Array


def _pieces(table: FileTable, names: Sequence[str]) -> Iterator[Columns]:
    for piece in table.chunks(names, EVENT_ROWS):
        yield {name: as_column(array, name, table.path) for name, array in piece.items()}


def _taken(columns: Columns, branches: dict[str, str], places: Array, path: DataFile) -> dict[str, Array]:
    found = same_lists(columns, list(branches.values()), path)
    return {name: column.values[places] for name, column in zip(branches, found, strict=True)}


def _momenta(pt: Array, eta: Array, phi: Array, mass: Array) -> Array:
    """Return px, py, pz and energy, (4, n); negative masses (of negative squares, by rounding) count as 0."""
    energy = energy_of(pt, eta, np.maximum(mass, 0))
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy])


def _checked(weights: Array, path: DataFile) -> Array:
    if not ((weights >= 0) & (weights <= _LARGEST_WEIGHT)).all():
        raise DataError(f"{path}: PUPPI weights must lie in [0, 1]")
    return weights


def _tracks(candidates: dict[str, Array], charged: Array) -> dict[str, Array]:
    """Return the impact parameters that the file has; without errors all are taken for measured."""
    values = [candidates.get(branch, np.zeros(len(charged))) for branch in _TRACK.values()]
    fields = cms_impact_parameters(*values, charged=charged)
    return {name: fields[name] for name, branch in _TRACK.items() if branch in candidates}


def _event(columns: Columns, layout: NanoaodLayout, event: Array) -> dict[str, Array]:
    numbers = [np.asarray(columns[name]).astype(np.int64) for name in EVENT]
    fields = {field.name: values for field, values in zip(EVENT_FIELDS, numbers, strict=True)}
    fields[EVENT_ID.name] = event_ids(*numbers, *(np.asarray(columns[name]) for name in layout.generated))
    return {name: values[event] for name, values in fields.items()}
