"""What Bumblebee (2412.07867) reads of an event: objects of two levels in one sequence, as four-vectors."""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.event_features import (
    GENERATOR,
    OBJECT_MOMENTA,
    RECONSTRUCTED_TYPES,
    fill_flags,
    generator_group,
    is_reconstructed_or_final,
    is_type,
    measured_groups,
)
from hepfm.data.features import FeatureSet

_SMALLEST = np.float32(1e-3)
"""Floor of pt in its logarithm (GeV)."""

_MOMENTUM = ("log_pt", "eta", "sin_phi", "cos_phi", "log_mass")
_MASSLESS = ("met", "neutrino", "electron", "muon", "photon")
"""Types whose mass counts as 0, in place of what the rounding of pt and energy leaves."""


def _fill(columns: Columns, out: Array) -> None:
    """Fill momentum and flags of reconstructed types."""
    pt, eta, phi, energy = (lists(columns, name).values.astype(np.float64) for name in OBJECT_MOMENTA)
    out[0] = np.log(np.maximum(pt, _SMALLEST))
    out[1] = eta
    out[2], out[3] = np.sin(phi), np.cos(phi)
    mass = np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0.0))
    out[4] = np.where(is_type(columns, _MASSLESS), 0.0, np.log1p(mass))
    fill_flags(columns, out[5:11], RECONSTRUCTED_TYPES)


_NAMES = (*_MOMENTUM, *(f"is_{name}" for name in RECONSTRUCTED_TYPES), *GENERATOR, "charge", "b_tag")

BUMBLEBEE = FeatureSet(
    name="bumblebee",
    names=_NAMES,
    base=(*OBJECT_MOMENTA, "object_type", "object_level"),
    centre=(0.0,) * len(_NAMES),
    scale=(1.0,) * len(_NAMES),
    fill=_fill,
    fitted=tuple(name in ("log_pt", "eta", "log_mass") for name in _NAMES),
    optional=(generator_group(_NAMES), *measured_groups(len(_NAMES) - 2)),
    rows="events",
    entries="object_pt",
    momenta=OBJECT_MOMENTA,
    chosen=is_reconstructed_or_final,
)
"""``log_mass`` means ln(1 + m/GeV). Of `hepfm.data.event_features.EVENT_LEVELS` it differs in this alone, in
place of the energy: a mass stays possible whatever is predicted of the momentum."""
