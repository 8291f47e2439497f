"""Names of the features of jets' constituents, which feature sets, their inverse and files share."""

from __future__ import annotations

PARTICLE_TRANSFORMER_KINEMATICS = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "delta_r")
AXES = ("deta", "dphi")
KINEMATICS = (*AXES, "log_pt", "log_energy")
FLAGS = ("is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
"""One flag per type, in the order of `hepfm.data.schemas.jets.PID_CLASSES`; all are zero for ``other``."""
IDENTITY = ("charge", *FLAGS)
DISPLACEMENT = ("tanh_d0", "d0_error", "tanh_dz", "dz_error")
MOMENTUM = (*PARTICLE_TRANSFORMER_KINEMATICS, *AXES, "eta", "sin_phi", "cos_phi", "log_mass")
"""Features that tell where a constituent goes and how hard it is."""
NO_MOMENTUM = (*IDENTITY, *DISPLACEMENT, "b_tag", "particle_sign")
"""Features that tell nothing of it; nor does one whose name begins with ``is_``."""
RELATIVE = {"log_pt_rel": ("log_pt", "pt"), "log_energy_rel": ("log_energy", "energy")}
"""Features relative to the whole row, the absolute feature, and the quantity of the row it is relative to."""
