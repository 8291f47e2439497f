"""What a jet of a hadronic tau decay is labelled with, beside the fields of a jet."""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level
from hepfm.physics.taus import DECAY_MODES

TAU_FIELDS = (
    Field(
        "tau_decay_mode",
        Level.OBJECT,
        Kind.CATEGORICAL,
        dtype="int16",
        classes=DECAY_MODES,
        description="decay of the tau in the jet",
    ),
    Field(
        "tau_log_pt_ratio",
        Level.OBJECT,
        description="ln of the transverse momentum of the visible tau over that of the jet; 0 without tau",
    ),
    Field("tau_visible_pt", Level.OBJECT, unit="GeV", description="of the visible tau; 0 without tau"),
    Field("tau_visible_eta", Level.OBJECT, description="of the visible tau; 0 without tau"),
    Field(
        "tau_visible_phi", Level.OBJECT, Kind.ANGLE, "rad", description="of the visible tau; 0 without tau"
    ),
    Field("tau_visible_mass", Level.OBJECT, unit="GeV", description="of the visible tau; 0 without tau"),
)
