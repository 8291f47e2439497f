"""Feature sets: constituent features of a network, computed from physical columns, with centre and scale.

The three sets are the Particle Transformer's inputs (2202.03772, table 2 and the authors' public
configuration files), in their order; ``log_pt`` means ln(pt/GeV).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema

KINEMATIC_COLUMNS = ("part_pt", "part_eta", "part_phi", "part_energy")
"""What four-momenta are made of."""

_JET_COLUMNS = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
_IDENTITY_COLUMNS = ("part_charge", "part_pid")
_TRACK_COLUMNS = ("part_d0", "part_d0_error", "part_dz", "part_dz_error")

_SMALLEST = np.float32(1e-8)
"""Floor of every logarithm's argument (GeV); standardised, it lies far below the clip at -5."""

_CHUNK = 32768
"""Constituents computed at once: all features of a chunk stay in a core's second-level cache."""

_TWO_PI = np.float32(2 * np.pi)

Fill = Callable[[Columns, Array], None]
"""Writes the features of all constituents of the given rows into an array of shape (F, constituents)."""


@dataclass(frozen=True)
class FeatureSet:
    """Features of constituents, in physical units, and how a network standardises them.

    Attributes
    ----------
    name
        Its name in the registry.
    names
        Feature names, F of them.
    columns
        Fields of the store that `compute` needs, of the rows and of one deeper level.
    centre, scale
        ``(x - centre) * scale`` is what the network sees; F numbers each.
    fill
        The computation.
    """

    name: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    fill: Fill

    def __len__(self) -> int:
        return len(self.names)

    def missing(self, schema: Schema) -> list[str]:
        """Return the fields that this set needs and a schema lacks."""
        return [name for name in self.columns if name not in schema]

    def compute(self, columns: Columns, *, out: Array | None = None) -> Array:
        """Return the features of all constituents, float32, shape (constituents, F); into `out` if given."""
        return _by_chunks(self.fill, {name: columns[name] for name in self.columns}, len(self), out)


def _by_chunks(fill: Fill, columns: Columns, width: int, out: Array | None) -> Array:
    offsets = next(column.offsets for column in columns.values() if isinstance(column, Ragged))
    if out is None:
        out = np.empty((offsets[-1], width), np.float32)
    edges = _chunks(offsets)
    sizes = np.diff(offsets[edges])
    buffer = np.empty((width, int(sizes.max(initial=0))), np.float32)
    for start, stop, size in zip(edges[:-1], edges[1:], sizes, strict=True):
        part = buffer[:, :size]
        fill({name: _rows(column, start, stop) for name, column in columns.items()}, part)
        out[offsets[start] : offsets[stop]] = part.T
    return out


def _chunks(offsets: Array) -> Array:
    """Return row numbers that cut the rows into pieces of about `_CHUNK` constituents."""
    targets = np.arange(0, offsets[-1], _CHUNK)
    edges = np.searchsorted(offsets, targets, side="right") - 1
    return np.unique(np.append(edges, len(offsets) - 1))


def _rows(column: Array | Ragged, start: int, stop: int) -> Array | Ragged:
    if not isinstance(column, Ragged):
        return column[start:stop]
    first = column.offsets[start]
    return Ragged(column.values[first : column.offsets[stop]], column.offsets[start : stop + 1] - first)


def _lists(columns: Columns, name: str) -> Ragged:
    column = columns[name]
    assert isinstance(column, Ragged)
    return column


def _log(values: Array, out: Array) -> None:
    np.maximum(values, _SMALLEST, out=out)
    np.log(out, out=out)


def _kinematics(columns: Columns, out: Array) -> None:
    """Fill rows 0-4 (log pt, log E, both relative to the jet's, delta R) and the last two (deta, dphi)."""
    jet_pt, jet_eta, jet_phi, jet_energy = (np.asarray(columns[name]) for name in _JET_COLUMNS)
    pt = _lists(columns, "part_pt")
    lengths = pt.lengths
    sign = np.where(jet_eta > 0, np.float32(1), np.float32(-1))
    _log(pt.values, out[0])
    _log(_lists(columns, "part_energy").values, out[1])
    np.subtract(out[0], np.repeat(np.log(np.maximum(jet_pt, _SMALLEST)), lengths), out=out[2])
    np.subtract(out[1], np.repeat(np.log(np.maximum(jet_energy, _SMALLEST)), lengths), out=out[3])
    delta_eta, delta_phi = out[-2], out[-1]
    np.subtract(_lists(columns, "part_eta").values, np.repeat(jet_eta, lengths), out=delta_eta)
    delta_eta *= np.repeat(sign, lengths)
    np.subtract(_lists(columns, "part_phi").values, np.repeat(jet_phi, lengths), out=delta_phi)
    delta_phi -= _TWO_PI * np.rint(delta_phi / _TWO_PI)
    np.sqrt(delta_eta * delta_eta + delta_phi * delta_phi, out=out[4])


def _identity(columns: Columns, out: Array) -> None:
    """Fill rows 5-10: charge and the five flags, in the order of `hepfm.core.jets.PID_CLASSES`."""
    out[5] = _lists(columns, "part_charge").values
    pid = _lists(columns, "part_pid").values
    for flag in range(5):
        out[6 + flag] = pid == flag


def _displacement(columns: Columns, out: Array) -> None:
    """Fill rows 11-14: tanh d0, error of d0 in [0, 1], the same of dz; arguments in mm."""
    np.tanh(_lists(columns, "part_d0").values, out=out[11])
    np.clip(_lists(columns, "part_d0_error").values, 0, 1, out=out[12])
    np.tanh(_lists(columns, "part_dz").values, out=out[13])
    np.clip(_lists(columns, "part_dz_error").values, 0, 1, out=out[14])


def _kinpid(columns: Columns, out: Array) -> None:
    _kinematics(columns, out)
    _identity(columns, out)


def _full(columns: Columns, out: Array) -> None:
    _kinpid(columns, out)
    _displacement(columns, out)


def _momenta(columns: Columns, out: Array) -> None:
    pt, phi = _lists(columns, "part_pt").values, _lists(columns, "part_phi").values
    out[0] = _lists(columns, "part_energy").values
    np.cos(phi, out=out[1])
    np.sin(phi, out=out[2])
    np.sinh(_lists(columns, "part_eta").values, out=out[3])
    out[1:] *= pt


def four_momenta(columns: Columns, *, out: Array | None = None) -> Array:
    """Return (E, px, py, pz) in GeV of all constituents, float32, shape (constituents, 4)."""
    return _by_chunks(_momenta, {name: columns[name] for name in KINEMATIC_COLUMNS}, 4, out)


_KINEMATIC = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "delta_r")
_FLAGS = ("is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
_TRACK = ("tanh_d0", "d0_error", "tanh_dz", "dz_error")
_AXES = ("deta", "dphi")
_STANDARD = {
    "log_pt": (1.7, 0.7),
    "log_energy": (2.0, 0.7),
    "log_pt_rel": (-4.7, 0.7),
    "log_energy_rel": (-4.7, 0.7),
    "delta_r": (0.2, 4.0),
}


def _feature_set(name: str, names: tuple[str, ...], columns: tuple[str, ...], fill: Fill) -> FeatureSet:
    pairs = [_STANDARD.get(feature, (0.0, 1.0)) for feature in names]
    centre, scale = zip(*pairs, strict=True)
    return FeatureSet(name, names, (*_JET_COLUMNS, *KINEMATIC_COLUMNS, *columns), centre, scale, fill)


KIN = _feature_set("kin", (*_KINEMATIC, *_AXES), (), _kinematics)
KINPID = _feature_set("kinpid", (*_KINEMATIC, "charge", *_FLAGS, *_AXES), _IDENTITY_COLUMNS, _kinpid)
FULL = _feature_set(
    "full",
    (*_KINEMATIC, "charge", *_FLAGS, *_TRACK, *_AXES),
    (*_IDENTITY_COLUMNS, *_TRACK_COLUMNS),
    _full,
)
