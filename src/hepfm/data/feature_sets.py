"""The feature sets of jets; ``log_pt`` means ln(pt/GeV).

``kin``, ``kinpid`` and ``full`` are the Particle Transformer's inputs (2202.03772, table 2 and the authors'
public configuration files), in their order, with their constants.

``pet``, ``petpid`` and ``petfull`` hold the same information without repeating any, so that constituents can
be made of them (`hepfm.data.jet_inverse`): the four kinematic inputs of OmniLearned (2510.24066), with
the charge and one flag per type in place of its type number. Their angles are plain differences, without
the sign of the jet's eta that the Particle Transformer's deta is multiplied by.

``massless`` holds what OmniJet-alpha (2403.05618) reads of a constituent, with its constants, the angles as
in ``pet``: jets are made of it with massless constituents, at eta = 0.
"""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.feature_names import AXES, DISPLACEMENT, IDENTITY, KINEMATICS, PARTICLE_TRANSFORMER_KINEMATICS
from hepfm.data.features import JET_COLUMNS, KINEMATIC_COLUMNS, FeatureGroup, FeatureSet, Fill
from hepfm.data.jet_inverse import JetInverse

_SMALLEST = np.float32(1e-8)
"""Floor of every logarithm's argument (GeV); standardised, it lies far below the clip at -5."""

_TWO_PI = np.float32(2 * np.pi)

_STANDARD = {
    "log_pt": (1.7, 0.7),
    "log_energy": (2.0, 0.7),
    "log_pt_rel": (-4.7, 0.7),
    "log_energy_rel": (-4.7, 0.7),
    "delta_r": (0.2, 4.0),
}
_MEASURED = frozenset((*KINEMATICS, "d0_error", "dz_error"))


def _log(values: Array, out: Array) -> None:
    np.maximum(values, _SMALLEST, out=out)
    np.log(out, out=out)


def _angles(columns: Columns, out: Array, flip: bool) -> None:
    """Fill two rows with deta (times the sign of the jet's eta, if flipped) and dphi in (-pi, pi]."""
    jet_eta, jet_phi = np.asarray(columns["jet_eta"]), np.asarray(columns["jet_phi"])
    eta = lists(columns, "part_eta")
    lengths = eta.lengths
    np.subtract(eta.values, np.repeat(jet_eta, lengths), out=out[0])
    if flip:
        out[0] *= np.repeat(np.where(jet_eta > 0, np.float32(1), np.float32(-1)), lengths)
    np.subtract(lists(columns, "part_phi").values, np.repeat(jet_phi, lengths), out=out[1])
    out[1] -= _TWO_PI * np.rint(out[1] / _TWO_PI)


def fill_kinematics(columns: Columns, out: Array) -> None:
    """Fill rows 0-4 (log pt, log E, both relative to the jet's, delta R) and the last two (deta, dphi)."""
    jet_pt, jet_energy = np.asarray(columns["jet_pt"]), np.asarray(columns["jet_energy"])
    pt = lists(columns, "part_pt")
    _log(pt.values, out[0])
    _log(lists(columns, "part_energy").values, out[1])
    np.subtract(out[0], np.repeat(np.log(np.maximum(jet_pt, _SMALLEST)), pt.lengths), out=out[2])
    np.subtract(out[1], np.repeat(np.log(np.maximum(jet_energy, _SMALLEST)), pt.lengths), out=out[3])
    _angles(columns, out[-2:], flip=True)
    np.sqrt(out[-2] * out[-2] + out[-1] * out[-1], out=out[4])


def _plain(columns: Columns, out: Array) -> None:
    """Fill rows 0-3: deta, dphi, log pt, log E."""
    _angles(columns, out[:2], flip=False)
    _log(lists(columns, "part_pt").values, out[2])
    _log(lists(columns, "part_energy").values, out[3])


def _massless(columns: Columns, out: Array) -> None:
    """Fill deta, dphi, log pt."""
    _angles(columns, out[:2], flip=False)
    _log(lists(columns, "part_pt").values, out[2])


def _identity(columns: Columns, out: Array) -> None:
    """Fill charge and the five flags."""
    out[0] = lists(columns, "part_charge").values
    pid = lists(columns, "part_pid").values
    for flag in range(5):
        out[1 + flag] = pid == flag


def _displacement(columns: Columns, out: Array) -> None:
    """Fill tanh d0, error of d0 in [0, 1], the same of dz; arguments in mm."""
    np.tanh(lists(columns, "part_d0").values, out=out[0])
    np.clip(lists(columns, "part_d0_error").values, 0, 1, out=out[1])
    np.tanh(lists(columns, "part_dz").values, out=out[2])
    np.clip(lists(columns, "part_dz_error").values, 0, 1, out=out[3])


GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Fill, str | None]] = {
    "identity": (IDENTITY, ("part_charge", "part_pid"), _identity, None),
    "displacement": (
        DISPLACEMENT,
        ("part_d0", "part_d0_error", "part_dz", "part_dz_error"),
        _displacement,
        "charge",
    ),
}


def jet_group(name: str, names: tuple[str, ...]) -> FeatureGroup:
    """Return a group of features that stand in a row among `names`."""
    features, columns, fill, exist_with = GROUPS[name]
    first = names.index(features[0])
    return FeatureGroup(name, range(first, first + len(features)), columns, fill, exist_with)


def _particle_transformer(name: str, *groups: str) -> FeatureSet:
    names = (
        *PARTICLE_TRANSFORMER_KINEMATICS,
        *(feature for group in groups for feature in GROUPS[group][0]),
        *AXES,
    )
    centre, scale = zip(*(_STANDARD.get(feature, (0.0, 1.0)) for feature in names), strict=True)
    return FeatureSet(
        name=name,
        names=names,
        base=(*JET_COLUMNS, *KINEMATIC_COLUMNS),
        centre=centre,
        scale=scale,
        fill=fill_kinematics,
        fitted=(False,) * len(names),
        optional=tuple(jet_group(group, names) for group in groups),
    )


def _pet(name: str, *groups: str) -> FeatureSet:
    names = (*KINEMATICS, *(feature for group in groups for feature in GROUPS[group][0]))
    return FeatureSet(
        name=name,
        names=names,
        base=(*JET_COLUMNS, *KINEMATIC_COLUMNS),
        centre=(0.0,) * len(names),
        scale=(1.0,) * len(names),
        fill=_plain,
        fitted=tuple(feature in _MEASURED for feature in names),
        optional=tuple(jet_group(group, names) for group in groups),
        inverse=JetInverse(),
    )


KIN = _particle_transformer("kin")
KINPID = _particle_transformer("kinpid", "identity")
FULL = _particle_transformer("full", "identity", "displacement")
PET = _pet("pet")
PETPID = _pet("petpid", "identity")
MASSLESS = FeatureSet(
    name="massless",
    names=(*AXES, "log_pt"),
    base=("jet_eta", "jet_phi", "part_pt", "part_eta", "part_phi"),
    centre=(0.0, 0.0, 1.8),
    scale=(3.0, 3.0, 1.0),
    fill=_massless,
    fitted=(False, False, False),
    inverse=JetInverse(),
)
PETFULL = _pet("petfull", "identity", "displacement")
