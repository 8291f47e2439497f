"""Context sets: what a network is told of a whole row, beside its constituents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hepfm.core.ragged import Array, Columns
from hepfm.core.schema import Schema

SMALLEST_PT = 1e-8
"""Floor of the jet's pt in its logarithm (GeV)."""

SMALLEST_MASS = 1.0
"""Floor of the jet's mass in its logarithm (GeV): energies near 1 TeV in float32 do not resolve less."""

Compute = Callable[[Columns, npt.NDArray[np.int64]], Array]
"""Returns the context of rows, float32 (R, C), from their columns and their numbers of constituents."""

Visible = Callable[[Tensor, Tensor], Tensor]
"""Returns the context of rows, float32 (B, C), from four-momenta (B, N, 4) of constituents and their mask."""


@dataclass(frozen=True)
class ContextSet:
    """Features of rows, in physical units.

    Attributes
    ----------
    name
        Its name in the registry.
    names
        Feature names, C of them; ``num_constituents`` may be the last of them only.
    columns
        Fields of the rows that `compute` needs.
    compute
        The computation; it is given the numbers of constituents that are left after the loader's cut.
    visible
        The same of the constituents that a network is shown, where it follows from them: a row of which some
        are hidden must not be told the sum of all. None for what is known apart from them, as the incident
        energy of a shower is.
    """

    name: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    compute: Compute
    visible: Visible | None = None

    def __post_init__(self) -> None:
        if "num_constituents" in self.names[:-1]:
            raise ValueError(f"num_constituents must be the last feature of context set {self.name!r}")

    @property
    def counted(self) -> bool:
        """Whether the number of constituents is told; where it is not, a generator draws it."""
        return self.names[-1] == "num_constituents"

    def __len__(self) -> int:
        return len(self.names)

    def missing(self, schema: Schema) -> list[str]:
        """Return the fields that this set needs and a schema lacks."""
        return [name for name in self.columns if name not in schema]


def jet_mass(jet_pt: Array, jet_eta: Array, jet_energy: Array) -> Array:
    """Return the mass (GeV) in double precision, 0 where the momentum exceeds the energy."""
    energy = np.asarray(jet_energy, np.float64)
    momentum = np.asarray(jet_pt, np.float64) * np.cosh(np.asarray(jet_eta, np.float64))
    mass: Array = np.sqrt(np.maximum((energy - momentum) * (energy + momentum), 0.0))
    return mass


def _jet(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    pt, eta, energy = (np.asarray(columns[name], np.float64) for name in ("jet_pt", "jet_eta", "jet_energy"))
    out = np.empty((len(lengths), 4), np.float32)
    out[:, 0] = np.log(np.maximum(pt, SMALLEST_PT))
    out[:, 1] = eta
    out[:, 2] = np.log(np.maximum(jet_mass(pt, eta, energy), SMALLEST_MASS))
    out[:, 3] = lengths
    return out


def _visible_jet(p4_BN4: Tensor, mask_BN: Tensor) -> Tensor:
    energy, px, py, pz = p4_BN4.double().sum(1).unbind(-1)
    pt = torch.hypot(px, py)
    momentum = torch.hypot(pt, pz)
    mass = ((energy - momentum) * (energy + momentum)).clamp(min=0).sqrt()
    parts = (
        pt.clamp(min=SMALLEST_PT).log(),
        torch.asinh(pz / pt.clamp(min=SMALLEST_PT)),
        mass.clamp(min=SMALLEST_MASS).log(),
        mask_BN.sum(1).double(),
    )
    return torch.stack(parts, dim=-1).float()


JET = ContextSet(
    "jet",
    ("log_jet_pt", "jet_eta", "log_jet_mass", "num_constituents"),
    ("jet_pt", "jet_eta", "jet_energy"),
    _jet,
    _visible_jet,
)
