"""OmniFold's Z + jets (1911.09107): NumPy files of jets at particle and, after Delphes, detector level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, concatenate, take_rows
from hepfm.core.schema import Schema
from hepfm.data.readers.base import require, sort_by_pt
from hepfm.data.readers.event_files import EVENT_ROWS, EventFileConfig, event_ids
from hepfm.data.readers.physics import charges, constituent_fields, jet_fields, particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import (
    EVENT_ID,
    IDENTITY_CONSTITUENT_FIELDS,
    JET_FIELDS,
    KINEMATIC_CONSTITUENT_FIELDS,
)
from hepfm.data.schemas.levels import BOSON, JET_LEVEL, LEVEL_FIELDS, OBSERVABLES, PASSES
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.open import open_table
from hepfm.physics.kinematics import pseudorapidity, wrap_phi
from hepfm.physics.pdg import masses

_LEVELS = {"detector": "sim", "particle": "gen"}
"""Level -> what names of its arrays begin with."""

CODES = np.array([22, 211, -211, 130, 11, -11, 13, -13, 321, -321, 2212, -2212, 2112, -2112])
"""Particle of the Particle Data Group by ten times the number in the files."""

_PT_UNIT = 100.0
"""GeV."""
_DIGITS = 0.01
"""How far from a whole number ten times a decimal may be by rounding."""

_OBSERVABLES = dict(
    zip(
        (field.name for field in OBSERVABLES),
        ("mults", "lhas", "widths", "ang2s", "tau2s", "sdms", "zgs"),
        strict=True,
    )
)
"""Field -> array."""

_BOSON = "gen_Zs"


class OmniFoldReader:
    """Reads ``Pythia21_Zjet_pTZ-200GeV_0.npz`` and the others; rows are jets, at both levels.

    - An event gives two rows with the same `event_id`, the schema's group: its jet at detector level and at
      particle level, in the field ``jet_level``. A level at which the event has no jet (pt 0 in the files),
      or whose jet fails the cuts, has no row, as an inefficiency or a fake.
    - The files hold pt / 100 GeV, rapidity and azimuth relative to the jet, and a particle as a decimal.
      Pseudorapidity and energy follow from the rapidity with the mass of the particle at particle level, and
      without mass at detector level: an assumption that was not checked on the published files.
    - The jet is the file's, which is calibrated at detector level; its constituents are not.
    - HCAL cells are neutral hadrons, ECAL cells photons. There are no impact parameters.
    """

    endings: ClassVar = (".npz",)

    class Config(EventFileConfig):
        """Options, with those of `EventFileConfig`.

        Attributes
        ----------
        level
            ``both``, or one of ``detector`` and ``particle``.
        """

        level: Literal["both", "detector", "particle"] = "both"

    def __init__(self, config: Config) -> None:
        self.config = config
        self._levels = [config.level] if config.level != "both" else list(_LEVELS)

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {"title": "OmniFold Z + jets", "doi": "10.5281/zenodo.3548091", "paper": "1911.09107"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: kinematics and identity, the level, the file's observables, the event."""
        with self._open(path):
            fixed = (*JET_FIELDS, *KINEMATIC_CONSTITUENT_FIELDS, *IDENTITY_CONSTITUENT_FIELDS, *LEVEL_FIELDS)
            return self.config.schema_of([field.name for field in fixed], LEVEL_FIELDS)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file that are selected, of both levels."""
        with self._open(path) as table:
            names = [f"{_LEVELS[level]}_jets" for level in self._levels]
            return sum(
                len(self._kept(_matrix(piece, name, "N 4", path)))
                for piece in table.chunks(names)
                for name in names
            )

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with self._open(path) as table:
            first = 0
            for piece in table.chunks(self._names, EVENT_ROWS):
                events = self._events(piece, first, path)
                made = [self._jets(piece, level, events, path) for level in self._levels]
                place = np.concatenate([places for places, _ in made])
                if len(place):
                    columns = concatenate([columns for _, columns in made])
                    yield take_rows(columns, np.argsort(place, kind="stable"))
                first += len(events[EVENT_ID.name])

    @property
    def _names(self) -> list[str]:
        """The arrays that are read; the jets of both levels tell events apart."""
        parts = ["jets", "particles", *_OBSERVABLES.values()]
        names = [_BOSON, *(f"{begin}_jets" for begin in _LEVELS.values())]
        names += [f"{_LEVELS[level]}_{part}" for level in self._levels for part in parts]
        return list(dict.fromkeys([*names, *([self.config.weight] if self.config.weight else [])]))

    @contextmanager
    def _open(self, path: DataFile) -> Iterator[FileTable]:
        with open_table(path) as table:
            require(table.names, self._names, path, what="arrays of OmniFold's files")
            yield table

    def _events(self, piece: Mapping[str, Any], first: int, path: DataFile) -> dict[str, Array]:
        """Return the fields that the jets of an event share."""
        jets = [_matrix(piece, f"{begin}_jets", "N 4", path) for begin in _LEVELS.values()]
        pt, rapidity, phi = _matrix(piece, _BOSON, "N 3", path).T
        number = first + np.arange(len(pt))
        weight = self.config.weight
        return {
            EVENT_ID.name: event_ids(number, *(column for level in jets for column in level.T)),
            **{
                PASSES[level].name: _among(self._kept(_matrix(piece, f"{begin}_jets", "N 4", path)), len(pt))
                for level, begin in _LEVELS.items()
            },
            **{
                field.name: _single(values)
                for field, values in zip(BOSON, (pt, rapidity, wrap_phi(phi)), strict=True)
            },
            **({weight: np.asarray(piece[weight])} if weight else {}),
        }

    def _kept(self, jets: Array) -> Array:
        """Return the places of the jets that are read."""
        pt, rapidity, _, mass = jets.T
        eta = pseudorapidity(pt, np.zeros_like(pt), np.hypot(pt, mass) * np.sinh(rapidity))
        return np.flatnonzero((pt != 0) & self.config.selected(pt, eta))

    def _jets(
        self, piece: Mapping[str, Any], level: str, events: dict[str, Array], path: DataFile
    ) -> tuple[Array, dict[str, Array | Ragged]]:
        """Return the places of the events that have a jet at a level, and these jets."""
        begin = _LEVELS[level]
        jets = _matrix(piece, f"{begin}_jets", "N 4", path)
        place = self._kept(jets)
        particles = _matrix(piece, f"{begin}_particles", "N M 4", path)[place]
        real = particles[..., 0] != 0  # padding is exactly zero
        lengths = real.sum(axis=1)
        code = _codes(particles[real][:, 3], path)
        axis = np.repeat(jets[place], lengths, axis=0)
        pt, rapidity, phi, _ = particles[real].T
        mass = masses(code) if level == "particle" else np.zeros(len(code))
        momenta = _momenta(_PT_UNIT * pt, rapidity + axis[:, 1], phi + axis[:, 2], mass)
        identity = {"part_charge": charges(code).astype(np.float32), "part_pid": particle_types(code)}
        observed = {name: np.asarray(piece[f"{begin}_{array}"]) for name, array in _OBSERVABLES.items()}
        shared = {name: values[place] for name, values in events.items() if name != self.config.weight}
        columns = sort_by_pt(
            {
                **jet_fields(*_momenta(*jets[place].T)),
                JET_LEVEL.name: np.full(len(place), JET_LEVEL.classes.index(level), np.int8),
                **{name: _single(values[place]) for name, values in observed.items()},
                **shared,
                **self.config.label_of_file(path, len(place)),
                **self.config.weights(events, place, path),
                **constituent_fields(*momenta, lengths=lengths),
                **{name: Ragged.from_lengths(values, lengths) for name, values in identity.items()},
            }
        )
        return place, columns


def _momenta(pt: Array, rapidity: Array, phi: Array, mass: Array) -> tuple[Array, Array, Array, Array]:
    """Return px, py, pz and energy; raise `DataError` for a negative pt, which turns momenta round."""
    if (pt < 0).any():
        raise DataError(f"pt {pt[pt < 0][0]:g} GeV is negative ({int((pt < 0).sum())} such in this piece)")
    transverse = np.hypot(pt, mass)
    return pt * np.cos(phi), pt * np.sin(phi), transverse * np.sinh(rapidity), transverse * np.cosh(rapidity)


def _codes(decimals: Array, path: DataFile) -> Array:
    """Return the particles' codes of the numbers in the files."""
    number = 10 * decimals
    place = np.rint(np.where(np.isfinite(number), number, -1))
    bad = (np.abs(number - place) > _DIGITS) | (place < 0) | (place >= len(CODES))
    if bad.any():
        raise DataError(
            f"{path}: {decimals[bad][0]:g} stands for no particle; expected 0, 0.1, 0.2 ... 1.3 in the last "
            f"column of particles ({int(bad.sum())} such in this piece of the file)"
        )
    return CODES[place.astype(np.int64)]


def _matrix(piece: Mapping[str, Any], name: str, shape: str, path: DataFile) -> Array:
    """Return an array in double precision; raise `DataError` unless its shape fits."""
    array = np.asarray(piece[name], np.float64)
    if array.ndim != len(shape.split()) or array.shape[-1] != int(shape[-1]):
        raise DataError(f"{path}: array {name!r} has shape {array.shape}, expected ({shape})")
    return array


def _among(places: Array, size: int) -> Array:
    """Return a mask of these places."""
    mask = np.zeros(size, bool)
    mask[places] = True
    return mask


def _single(values: Array) -> Array:
    return values.astype(np.float32)
