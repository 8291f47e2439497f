"""Constituents of ATLAS jets: what element links lead to, ghost-associated tracks, or tracks in a cone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, entry_pairs, lists
from hepfm.data.readers.event_files import same_lists
from hepfm.data.readers.physics import impact_parameters
from hepfm.data.remote import DataFile
from hepfm.physics.kinematics import delta_r, energy_of

TRACKS, VERTICES = "InDetTrackParticles", "PrimaryVertices"
TRACK = ("qOverP", "theta", "phi", "d0", "z0")
FLOW = ("pt", "eta", "phi", "m")
COVARIANCE = "definingParametersCovMatrixDiag"

PION_MASS = 0.13957039
"""GeV; of the charged pion (Particle Data Group 2024), given to every track."""

_PRIMARY = 1
"""``xAOD::VxType::PriVtx``."""
_MEV = 1e-3


@dataclass(frozen=True)
class JetInputs:
    """Objects of the events of a piece that jets may be made of.

    Attributes
    ----------
    lengths
        Of each event.
    momenta
        px, py, pz and energy, GeV, (4, n).
    fields
        Further fields of the constituents, by their name in the schema, (n,) each.
    """

    lengths: Array
    momenta: Array
    fields: Mapping[str, Array]

    @property
    def starts(self) -> Array:
        """Place of the first of each event."""
        return np.cumsum(self.lengths) - self.lengths


def flow_objects(columns: Columns, branches: Mapping[str, str], path: DataFile) -> JetInputs:
    """Return the objects of a container, from its columns in MeV."""
    found = dict(zip(branches, same_lists(columns, list(branches.values()), path), strict=True))
    pt, eta, phi, mass = (np.asarray(found[name].values, np.float64) for name in FLOW)
    pt, mass = pt * _MEV, np.maximum(mass, 0) * _MEV
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy_of(pt, eta, mass)])
    fields = {"part_charge": found["charge"].values.astype(np.float32)} if "charge" in found else {}
    return JetInputs(found["pt"].lengths, momenta, fields)


def tracks(
    piece: Mapping[str, Any], columns: Columns, branches: Mapping[str, str], path: DataFile
) -> JetInputs:
    """Return tracks, as charged pions, with impact parameters.

    ``d0`` is counted from the beam line, with the sign of x = -d0 sin(phi), y = d0 cos(phi), which is the
    opposite of JetClass's. ``z0`` is turned into the distance from the primary vertex.

    Parameters
    ----------
    piece
        Branches as awkward arrays.
    columns
        Those that are lists of numbers.
    branches
        By the fields of `TRACK`, ``vz``, ``covariance``, ``vertex_z`` and ``vertex_type``; the last four
        where there are.
    path
        The file, for messages.
    """
    names = {name: branches[name] for name in (*TRACK, "vz") if name in branches}
    found = dict(zip(names, same_lists(columns, list(names.values()), path), strict=True))
    values = {name: np.asarray(column.values, np.float64) for name, column in found.items()}
    lengths = found["theta"].lengths
    theta, phi = values["theta"], values["phi"]
    with np.errstate(divide="ignore"):
        momentum = _MEV / np.abs(values["qOverP"])
    if not (np.isfinite(momentum).all() and (np.sin(theta) > 0).all()):
        raise DataError(f"{path}: {TRACKS} has tracks without momentum or polar angle (qOverP, theta)")
    pt, pz = momentum * np.sin(theta), momentum * np.cos(theta)
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pz, np.hypot(momentum, PION_MASS)])
    dz = values["z0"] + values.get("vz", 0) - np.repeat(_vertices(columns, branches, len(lengths)), lengths)
    errors = _errors(piece, branches, len(theta), path)
    charged = np.ones(len(theta), bool)
    fields = {"part_charge": np.sign(values["qOverP"]).astype(np.float32)}
    fields |= impact_parameters(-values["d0"], errors[0], dz, errors[1], charged=charged)
    return JetInputs(lengths, momenta, fields)


def _vertices(columns: Columns, branches: Mapping[str, str], events: int) -> Array:
    """Return z of the primary vertex of each event, mm; 0 in events without one."""
    if "vertex_z" not in branches:
        return np.zeros(events)
    z = lists(columns, branches["vertex_z"])
    primary = np.ones(len(z.values), bool)
    if "vertex_type" in branches:
        primary = lists(columns, branches["vertex_type"]).values == _PRIMARY
    event, first = np.unique(z.row_index()[primary], return_index=True)
    positions = np.zeros(events)
    positions[event] = z.values[primary][first]
    return positions


def _errors(piece: Mapping[str, Any], branches: Mapping[str, str], rows: int, path: DataFile) -> Array:
    """Return the errors of d0 and z0, (2, n), from the variances that stand first for each track."""
    import awkward as ak

    if "covariance" not in branches:
        return np.zeros((2, rows))
    variances = ak.flatten(piece[branches["covariance"]], axis=1)
    if len(variances) != rows or (rows and ak.any(ak.num(variances) < 2)):
        raise DataError(f"{path}: {branches['covariance']!r} must hold the variances of each track")
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.stack([ak.to_numpy(variances[:, part]).astype(np.float64) for part in (0, 1)]))


def in_cone(eta: Ragged, phi: Array, objects: JetInputs, radius: float) -> tuple[Array, Array]:
    """Return jet and object of all pairs of an event that are nearer than `radius` in eta and phi."""
    jet, place = entry_pairs(eta.lengths, objects.lengths)
    px, py, pz, _ = objects.momenta
    directions = np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)
    near = delta_r(eta.values[jet], phi[jet], *(part[place] for part in directions)) < radius
    return jet[near], place[near]
