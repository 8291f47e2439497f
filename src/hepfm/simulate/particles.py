"""Final-state particles and reconstructed candidates of many events, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.signedinteger]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Particles:
    """Stable particles of the generator, one event after the other, each of shape (n,).

    Attributes
    ----------
    event
        Number of the event within the batch.
    pdg
        Particle code of the Particle Data Group.
    charge
        In units of e.
    px, py, pz, energy, mass
        GeV.
    x, y, z
        Where it was produced, mm.
    entry
        Its entry in the event record.
    """

    event: Ints
    pdg: Ints
    charge: Floats
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    mass: Floats
    x: Floats
    y: Floats
    z: Floats
    entry: Ints

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: Bools | Ints) -> Particles:
        """Return the given particles."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        taken = Particles(*(getattr(self, field.name).take(index) for field in fields(self)))
        taken.__dict__["pt"] = self.pt.take(index)  # fills the cache of the property
        return taken

    @cached_property
    def pt(self) -> Floats:
        """Transverse momentum in GeV."""
        return np.hypot(self.px, self.py)


@dataclass(frozen=True)
class Candidates:
    """What a detector reports: the input of the clustering and, for those that are kept, the stored values.

    Attributes
    ----------
    event
        Number of the event within the batch, in any order, shape (n,).
    p4
        (E, px, py, pz) in GeV that enters the clustering, shape (n, 4).
    pt, eta, phi, energy
        Stored kinematics, shape (n,). They differ from `p4` where a detector reports another direction.
    charge, pid
        Charge and index into `hepfm.data.schemas.jets.PID_CLASSES`.
    d0, d0_error, dz, dz_error
        Impact parameters and their uncertainties in mm; 0 for neutrals.
    entry
        The particle that it comes from, by its entry in the event record: of a calorimeter's, the one that
        left the most energy in the tower among those without a track (among all where each has one).
    """

    event: Ints
    p4: Floats
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats
    charge: Floats
    pid: Ints
    d0: Floats
    d0_error: Floats
    dz: Floats
    dz_error: Floats
    entry: Ints

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: Bools | Ints) -> Candidates:
        """Return the given candidates."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Candidates(*(getattr(self, field.name).take(index, axis=0) for field in fields(self)))


def merge_candidates(parts: list[Candidates]) -> Candidates:
    """Lay candidates of the same batch end to end."""
    return Candidates(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Candidates))
    )
