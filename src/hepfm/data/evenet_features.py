"""The inputs of EveNet's released networks (2601.17126, public configuration): objects and globals.

Unlike those of the set ``event`` its objects do not tell jets from photons, and logarithms are ln(1 + x/GeV).
Missing momentum is a global, not an object.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.context import ContextSet
from hepfm.data.event_features import (
    EVENT_CONTEXT,
    OBJECT_MOMENTA,
    event_sums,
    is_reconstructed,
    is_type,
    visible_mass,
)
from hepfm.data.features import FeatureSet

_NAMES = ("log_energy", "log_pt", "eta", "phi", "b_tag", "is_lepton", "charge")


def is_visible(columns: Columns) -> Array:
    """Return which objects a detector saw, missing momentum left out, boolean (objects,)."""
    return is_reconstructed(columns) & ~is_type(columns, ("met",))


def _fill(columns: Columns, out: Array) -> None:
    for row, name in ((0, "object_energy"), (1, "object_pt")):
        np.log1p(lists(columns, name).values, out=out[row])
    for row, name in ((2, "eta"), (3, "phi"), (4, "b_tag"), (6, "charge")):
        out[row] = lists(columns, f"object_{name}").values
    out[5] = is_type(columns, ("electron", "muon"))


EVENET = FeatureSet(
    name="evenet",
    names=_NAMES,
    base=(*OBJECT_MOMENTA, "object_type", "object_level", "object_b_tag", "object_charge"),
    centre=(0.0,) * len(_NAMES),
    scale=tuple(math.sqrt(3) / math.pi if name == "phi" else 1.0 for name in _NAMES),
    fill=_fill,
    fitted=tuple(name in ("log_energy", "log_pt", "eta") for name in _NAMES),
    rows="events",
    entries="object_pt",
    momenta=OBJECT_MOMENTA,
    limit=(math.inf,) * len(_NAMES),
    chosen=is_visible,
)
"""Jets, leptons and photons as EveNet's released networks read them; ``log_x`` means ln(1 + x/GeV)."""


def _globals(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    sums = event_sums(columns)
    logs = {
        name: np.log1p(sums[name]) for name in ("met", "ht", "lepton_ht", "mass", "lepton_mass", "b_mass")
    }
    parts = (
        *(logs["met"], sums["met_phi"]),
        *(sums[name] for name in ("num_leptons", "num_b_jets", "num_jets")),
        *(logs[name] for name in ("ht", "lepton_ht", "mass", "lepton_mass", "b_mass")),
    )
    return np.stack(parts, axis=1).astype(np.float32)


def _visible(p4_BN4: Tensor, mask_BN: Tensor) -> Tensor:
    return visible_mass(p4_BN4, len(EVENET_CONTEXT), EVENET_CONTEXT.names.index("log_mass"))


EVENET_CONTEXT = ContextSet(
    "evenet",
    (
        *("log_met", "met_phi", "num_leptons", "num_b_jets", "num_jets"),
        *("log_ht", "log_lepton_ht", "log_mass", "log_lepton_mass", "log_b_mass"),
    ),
    EVENT_CONTEXT.columns,
    _globals,
    _visible,
)
"""The ten globals of EveNet's released networks in their order; ``log_x`` means ln(1 + x/GeV)."""
