"""Physics that readers share: momenta of jets and constituents, particle types, impact parameters."""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Array, Ragged
from hepfm.data.readers.base import momentum_fields
from hepfm.data.schemas.jets import PID_CLASSES

PDG_TYPES = {
    **dict.fromkeys((211, 321, 2212), "charged_hadron"),
    **dict.fromkeys((130, 310, 2112), "neutral_hadron"),
    11: "electron",
    13: "muon",
    22: "photon",
    0: "other",
}
"""Type by |code| of the Particle Data Group; 0 stands for an unknown particle."""


def particle_types(pdg: Array) -> Array:
    """Return the type of each particle as a number of `PID_CLASSES`, int8; ``other`` for an unknown code.

    >>> [PID_CLASSES[number] for number in particle_types(np.array([-211, 22, 1]))]
    ['charged_hadron', 'photon', 'other']
    """
    code = np.abs(np.rint(pdg)).astype(np.int64)
    types = np.full(len(code), PID_CLASSES.index("other"), np.int8)
    for known, name in PDG_TYPES.items():
        types[code == known] = PID_CLASSES.index(name)
    return types


def charges(pdg: Array) -> Array:
    """Return the charge of each particle by its code, int8; 0 for an unknown one.

    The codes of electrons and muons are positive for negative charge.

    >>> charges(np.array([211, -211, 11, -13, 22])).tolist()
    [1, -1, -1, 1, 0]
    """
    code = np.rint(pdg).astype(np.int64)
    hadrons, leptons = np.isin(abs(code), (211, 321, 2212)), np.isin(abs(code), (11, 13))
    return (np.sign(code) * (hadrons.astype(np.int8) - leptons.astype(np.int8))).astype(np.int8)


def impact_parameters(
    d0: Array, d0_error: Array, dz: Array, dz_error: Array, *, charged: Array, mm_per_unit: float = 1.0
) -> dict[str, Array]:
    """Return the fields ``part_d0``, ``part_dz`` and their errors in mm, float32.

    They are 0 for constituents without charge, and where a value or its error is not finite or an error is
    negative, as files mark tracks that were not measured.

    Parameters
    ----------
    d0, d0_error, dz, dz_error
        As the file has them, shape (n,).
    charged
        Boolean, shape (n,).
    mm_per_unit
        The file's unit in mm.
    """
    fields = {}
    for name, value, error in (("d0", d0, d0_error), ("dz", dz, dz_error)):
        with np.errstate(over="ignore", invalid="ignore"):
            pair = [
                (np.asarray(part, np.float64) * mm_per_unit).astype(np.float32) for part in (value, error)
            ]
        measured = charged & np.isfinite(pair).all(axis=0) & (pair[1] >= 0)
        fields[f"part_{name}"], fields[f"part_{name}_error"] = (
            np.where(measured, part, np.float32(0)) for part in pair
        )
    return fields


def constituent_fields(
    px: Array, py: Array, pz: Array, energy: Array, *, lengths: Array
) -> dict[str, Array | Ragged]:
    """Return the kinematic fields of constituents (GeV, rad), jet after jet, `lengths` of each jet."""
    pt, eta, phi = momentum_fields(px, py, pz)
    fields = {"part_pt": pt, "part_eta": eta, "part_phi": phi, "part_energy": energy.astype(np.float32)}
    return {name: Ragged.from_lengths(values, lengths) for name, values in fields.items()}


def jet_fields(px: Array, py: Array, pz: Array, energy: Array) -> dict[str, Array | Ragged]:
    """Return the kinematic fields of jets (GeV, rad) of their momenta, shape (R,) each."""
    pt, eta, phi = momentum_fields(px, py, pz)
    return {"jet_pt": pt, "jet_eta": eta, "jet_phi": phi, "jet_energy": energy.astype(np.float32)}
