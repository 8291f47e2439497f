"""The way back: jets as a store holds them, from the features of their constituents.

The features are those of ``pet``, ``petpid``, ``petfull`` or ``massless``, which repeat nothing. Computed
from a store they give its constituents back to float32 accuracy, but for what they do not tell: masses
without ``log_energy``, uncertainties above 1 mm, and impact parameters beyond some 8 mm, where tanh is 1.
Those that a model generated give valid constituents.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Schema
from hepfm.data.feature_names import DISPLACEMENT, FLAGS, IDENTITY, KINEMATICS
from hepfm.data.inverse import RowFields, Values
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


class JetInverse:
    """Makes jets of the features of ``pet``, ``petpid`` or ``petfull``, or of these without the energy."""

    needs: tuple[str, ...] = ("jet_eta", "jet_phi")
    keeps: tuple[str, ...] = needs

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether constituents can be made of features of these names."""
        energy = () if "log_energy" in names else ("log_energy",)
        known = (KINEMATICS, (*KINEMATICS, *IDENTITY), (*KINEMATICS, *IDENTITY, *DISPLACEMENT))
        return sorted((*names, *energy)) in [sorted(features) for features in known]

    def schema(
        self, names: Sequence[str], *, classes: tuple[str, ...] = (), known: Collection[str] = ()
    ) -> Schema:
        """Return the schema of jets; the axis is in it, whether known or not."""
        return jet_schema(
            classes,
            identity=set(IDENTITY) <= set(names),
            tracks=set(DISPLACEMENT) <= set(names),
            substructure=False,
        )

    def columns(
        self, values: Values, *, lengths: npt.NDArray[np.int64], row_fields: RowFields
    ) -> dict[str, Array | Ragged]:
        """Return the columns of jets, constituents in falling order of pt.

        Energies are raised to the momentum where they lie below; without the feature ``log_energy``
        constituents are massless. The type is that of the largest flag, or ``other`` if none is above 0.5.
        Charged types get the sign of their charge, neutral ones 0, ``other`` the nearest of -1, 0, 1.
        Constituents without charge get no impact parameters, and uncertainties are cut to [0, 1] mm as the
        features are. The jet is the sum of its constituents; one without any has pt 0 on the given axis.

        Parameters
        ----------
        values
            Physical features of all constituents by name, jet after jet.
        lengths
            Constituents of each jet, shape (R,).
        row_fields
            ``jet_eta`` and ``jet_phi``: the axis to which deta and dphi refer, shape (R,).

        Raises
        ------
        DataError
            When a feature is not finite or gives a momentum that float32 cannot hold.
        """
        offsets = Ragged.from_lengths(np.empty(0), np.asarray(lengths)).offsets
        row = np.repeat(np.arange(len(lengths)), lengths)
        jet_eta, jet_phi = (np.asarray(row_fields[name], np.float64) for name in self.needs)
        numbers = {name: np.asarray(feature, np.float64) for name, feature in values.items()}
        _check(numbers, offsets)
        if "log_energy" not in numbers:
            numbers["log_energy"] = numbers["log_pt"] + np.log(np.cosh(jet_eta[row] + numbers["deta"]))
            _check({"log_energy": numbers["log_energy"]}, offsets)
        parts = _kinematics(numbers, jet_eta[row], jet_phi[row])
        if "charge" in numbers:
            parts |= _identity(numbers)
        if "tanh_d0" in numbers:
            parts |= _displacement(numbers, charged=parts["part_charge"] != 0)
        order = np.lexsort((-parts["part_pt"], row))
        jets: dict[str, Array | Ragged] = dict(_jets(parts, row, jet_eta, jet_phi))
        return jets | {name: Ragged(part[order], offsets) for name, part in parts.items()}

    def drawn(self, context_names: Collection[str]) -> tuple[str, ...]:
        """Return the axis: it is drawn where the context does not tell it."""
        return self.needs

    def draw(
        self,
        values: Values,
        *,
        lengths: npt.NDArray[np.int64],
        context: RowFields,
        rng: np.random.Generator,
    ) -> RowFields:
        """Return the axes of generated jets: at the eta of the context and a uniform phi.

        Without ``jet_eta`` in the context it is what fits energies and pt, with a random sign; 0 where the
        features have no energies.
        """
        jet_phi = rng.uniform(-np.pi, np.pi, len(lengths))
        if "jet_eta" in context:
            return {"jet_eta": context["jet_eta"], "jet_phi": jet_phi}
        if "log_energy" not in values:
            return {"jet_eta": np.zeros(len(lengths)), "jet_phi": jet_phi}
        row = np.repeat(np.arange(len(lengths)), lengths)
        energy, pt = (np.bincount(row, np.exp(values[name])) for name in ("log_energy", "log_pt"))
        jet_eta = np.arccosh(np.maximum(energy / pt, 1.0)) * rng.choice([-1.0, 1.0], len(lengths))
        return {"jet_eta": jet_eta, "jet_phi": jet_phi}


def _check(values: Values, offsets: npt.NDArray[np.int64]) -> None:
    for name, feature in values.items():
        if feature.shape != (offsets[-1],):
            raise DataError(f"feature {name!r} has shape {feature.shape} for {offsets[-1]} constituents")
        bad = ~np.isfinite(feature) | (np.abs(feature) > _LARGEST.get(name, np.inf))
        if bad.any():
            entry = int(np.argmax(bad))
            row = int(np.searchsorted(offsets, entry, side="right")) - 1
            raise DataError(
                f"feature {name!r} of jet {row} is {feature[entry]}: no constituent can be made of that "
                f"({int(bad.sum())} such values)"
            )


def _kinematics(values: Values, jet_eta: Array, jet_phi: Array) -> dict[str, Array]:
    pt = np.exp(values["log_pt"])
    eta = values["deta"] + jet_eta
    energy = np.maximum(np.exp(values["log_energy"]), pt * np.cosh(eta))
    columns = {"pt": pt, "eta": eta, "phi": wrap_phi(values["dphi"] + jet_phi), "energy": energy}
    parts = {f"part_{name}": part.astype(np.float32) for name, part in columns.items()}
    parts["part_phi"] = np.clip(parts["part_phi"], -_PI, _PI)
    return parts


def _identity(values: Values) -> dict[str, Array]:
    flags = np.stack([values[flag] for flag in FLAGS])
    pid = np.where(flags.max(axis=0) > _IS_SET, flags.argmax(axis=0), _OTHER)
    sign = np.where(values["charge"] < 0, -1.0, 1.0)
    nearest = np.clip(np.rint(values["charge"]), -1, 1) + 0.0
    charge = np.select([_CHARGED[pid], _NEUTRAL[pid]], [sign, 0.0], nearest)
    return {"part_charge": charge.astype(np.float32), "part_pid": pid.astype(np.int8)}


def _displacement(values: Values, *, charged: Array) -> dict[str, Array]:
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
    columns = {
        "jet_pt": pt,
        "jet_eta": np.where(pt > 0, pseudorapidity(px, py, pz), jet_eta),
        "jet_phi": np.where(pt > 0, np.arctan2(py, px), wrap_phi(np.asarray(jet_phi, np.float64))),
        "jet_energy": energy,
    }
    return {name: values.astype(np.float32) for name, values in columns.items()}
