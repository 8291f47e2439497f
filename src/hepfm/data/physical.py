"""The way back: jets as a store holds them, from the features of their constituents.

The features are those of ``pet``, ``petpid`` or ``petfull``, which repeat nothing. Computed from a store they
give its constituents back to float32 accuracy, but for what they do not tell: uncertainties above 1 mm, and
impact parameters beyond some 8 mm, where tanh is 1. Those that a model made give valid constituents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Schema
from hepfm.data.feature_sets import DISPLACEMENT, FLAGS, IDENTITY, PLAIN
from hepfm.data.schemas.jets import PID_CLASSES, jet_schema
from hepfm.physics.kinematics import four_momentum, pseudorapidity, wrap_phi

_CHARGED = np.array([name in ("charged_hadron", "electron", "muon") for name in PID_CLASSES])
_NEUTRAL = np.array([name in ("neutral_hadron", "photon") for name in PID_CLASSES])
_OTHER = PID_CLASSES.index("other")

_IS_SET = 0.5
"""A flag counts as set above this; a constituent without any is of the type ``other``."""

_LARGEST_TANH = float(np.nextafter(np.float32(1), np.float32(0)))

_LARGEST = {"log_pt": 60.0, "log_energy": 60.0, "deta": 20.0}
"""Larger magnitudes give momenta that float32 cannot hold."""

_PI = np.float32(np.pi)
"""The largest angle of a store; as float32 it lies above pi."""


def with_energy(feature_names: Iterable[str]) -> tuple[str, ...]:
    """Return the names with the energy among them, where constituents of these features are massless.

    >>> with_energy(["deta", "dphi", "log_pt"])
    ('deta', 'dphi', 'log_pt', 'log_energy')
    """
    names = list(feature_names)
    if "log_energy" not in names:
        names.insert(PLAIN.index("log_energy"), "log_energy")
    return tuple(names)


def generated_schema(
    feature_names: Sequence[str], classes: tuple[str, ...] = (), *, extra: tuple[Field, ...] = ()
) -> Schema:
    """Return the schema of jets made of these features.

    Parameters
    ----------
    feature_names
        Names of a feature set.
    classes
        Class names of the label; empty for unlabelled jets.
    extra
        Further fields.

    Raises
    ------
    IncompatibleError
        When constituents cannot be made of these features.
    """
    require_invertible(feature_names)
    return jet_schema(
        classes,
        identity=set(IDENTITY) <= set(feature_names),
        tracks=set(DISPLACEMENT) <= set(feature_names),
        substructure=False,
        extra=extra,
    )


def require_invertible(feature_names: Sequence[str]) -> None:
    """Raise `IncompatibleError` unless the features are those of ``pet``, ``petpid`` or ``petfull``."""
    known = (PLAIN, (*PLAIN, *IDENTITY), (*PLAIN, *IDENTITY, *DISPLACEMENT))
    if tuple(feature_names) not in known:
        raise IncompatibleError(
            f"constituents cannot be made of the features {', '.join(feature_names)}; "
            "use the feature set pet, petpid or petfull"
        )


def physical_columns(
    features: Array,
    *,
    lengths: Array,
    feature_names: Sequence[str],
    jet_eta: Array,
    jet_phi: Array,
) -> dict[str, Array | Ragged]:
    """Return the columns of jets, constituents in falling order of pt; all but labels and extra fields.

    Energies are raised to the momentum where they lie below. The type is that of the largest flag, or
    ``other`` if none is above 0.5. Charged types get the sign of their charge, neutral ones 0, ``other`` the
    nearest of -1, 0, 1. Constituents without charge get no impact parameters, and uncertainties are cut to
    [0, 1] mm as the features are. The jet is the sum of its constituents; one without any has pt 0 on the
    given axis.

    Parameters
    ----------
    features
        Physical features of all constituents, shape (n, F), jet after jet.
    lengths
        Constituents of each jet, shape (R,).
    feature_names
        Their names, those of the feature set ``pet``, ``petpid`` or ``petfull``.
    jet_eta, jet_phi
        The axis to which deta and dphi refer, shape (R,).

    Returns
    -------
    dict
        By the field names of `generated_schema`, in its types.

    Raises
    ------
    DataError
        When a feature is not finite or gives a momentum that float32 cannot hold.
    IncompatibleError
        When constituents cannot be made of these features.
    """
    require_invertible(feature_names)
    offsets = Ragged.from_lengths(np.empty(0), np.asarray(lengths)).offsets
    _check(features, offsets, feature_names)
    row = np.repeat(np.arange(len(lengths)), lengths)
    values = dict(zip(feature_names, np.asarray(features, np.float64).T, strict=True))
    parts = _kinematics(values, np.asarray(jet_eta, np.float64)[row], np.asarray(jet_phi, np.float64)[row])
    if "charge" in values:
        parts |= _identity(values)
    if "tanh_d0" in values:
        parts |= _displacement(values, charged=parts["part_charge"] != 0)
    order = np.lexsort((-parts["part_pt"], row))
    columns: dict[str, Array | Ragged] = dict(_jets(parts, row, jet_eta, jet_phi))
    return columns | {name: Ragged(part[order], offsets) for name, part in parts.items()}


def _check(features: Array, offsets: Array, names: Sequence[str]) -> None:
    if features.shape != (offsets[-1], len(names)):
        raise DataError(
            f"features of shape {features.shape} for {offsets[-1]} constituents of {len(names)} features"
        )
    limit = np.array([_LARGEST.get(name, np.inf) for name in names])
    bad = ~np.isfinite(features) | (np.abs(features) > limit)
    if bad.any():
        entry, number = (int(place) for place in np.argwhere(bad)[0])
        row = int(np.searchsorted(offsets, entry, side="right")) - 1
        raise DataError(
            f"feature {names[number]!r} of jet {row} is {features[entry, number]}: no constituent can "
            f"be made of that ({int(bad.sum())} such values)"
        )


def _kinematics(values: dict[str, Array], jet_eta: Array, jet_phi: Array) -> dict[str, Array]:
    pt = np.exp(values["log_pt"])
    eta = values["deta"] + jet_eta
    energy = np.maximum(np.exp(values["log_energy"]), pt * np.cosh(eta))
    found = {"pt": pt, "eta": eta, "phi": wrap_phi(values["dphi"] + jet_phi), "energy": energy}
    parts = {f"part_{name}": part.astype(np.float32) for name, part in found.items()}
    parts["part_phi"] = np.clip(parts["part_phi"], -_PI, _PI)
    return parts


def _identity(values: dict[str, Array]) -> dict[str, Array]:
    flags = np.stack([values[flag] for flag in FLAGS])
    pid = np.where(flags.max(axis=0) > _IS_SET, flags.argmax(axis=0), _OTHER)
    sign = np.where(values["charge"] < 0, -1.0, 1.0)
    nearest = np.clip(np.rint(values["charge"]), -1, 1) + 0.0
    charge = np.select([_CHARGED[pid], _NEUTRAL[pid]], [sign, 0.0], nearest)
    return {"part_charge": charge.astype(np.float32), "part_pid": pid.astype(np.int8)}


def _displacement(values: dict[str, Array], *, charged: Array) -> dict[str, Array]:
    parts = {}
    for name in ("d0", "dz"):
        value = np.arctanh(np.clip(values[f"tanh_{name}"], -_LARGEST_TANH, _LARGEST_TANH))
        error = np.clip(values[f"{name}_error"], 0, 1)
        parts[f"part_{name}"] = np.where(charged, value, 0.0).astype(np.float32)
        parts[f"part_{name}_error"] = np.where(charged, error, 0.0).astype(np.float32)
    return parts


def _jets(parts: dict[str, Array], row: Array, jet_eta: Array, jet_phi: Array) -> dict[str, Array]:
    p4 = four_momentum(*(parts[f"part_{name}"].astype(np.float64) for name in ("pt", "eta", "phi", "energy")))
    sums = (np.bincount(row, part, minlength=len(jet_eta)) for part in p4.T)
    energy, px, py, pz = (np.asarray(total, np.float64) for total in sums)
    pt = np.hypot(px, py)
    found = {
        "jet_pt": pt,
        "jet_eta": np.where(pt > 0, pseudorapidity(px, py, pz), jet_eta),
        "jet_phi": np.where(pt > 0, np.arctan2(py, px), wrap_phi(np.asarray(jet_phi, np.float64))),
        "jet_energy": energy,
    }
    return {name: values.astype(np.float32) for name, values in found.items()}
