"""The fields of jets at two levels: of the particles of an event, and of what a detector makes of them.

Rows are jets. The jet of an event at particle level and that at detector level are two rows with the same
`event_id`, and make a pair. Where an event has no jet at a level, there is no row: nothing stands for a
missing jet. `PASSES` say for each row at which levels its pair has a jet:

=============  =============  ===================================================================
pass_particle  pass_detector  the row is
=============  =============  ===================================================================
true           true           one of the two jets of a pair
true           false          a jet at particle level that the detector loses: an inefficiency
false          true           a jet at detector level that no jet at particle level is behind: a fake
=============  =============  ===================================================================
"""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level

LEVELS = ("detector", "particle")
"""Classes of `JET_LEVEL`."""

JET_LEVEL = Field(
    "jet_level",
    Level.OBJECT,
    Kind.CATEGORICAL,
    dtype="int8",
    classes=LEVELS,
    description="whether the jet is of particles, or of what the detector makes of them",
)
PASSES = {
    "particle": Field(
        "pass_particle",
        Level.OBJECT,
        Kind.FLAG,
        dtype="bool",
        description="whether the pair of the row has a jet at particle level; false for a fake",
    ),
    "detector": Field(
        "pass_detector",
        Level.OBJECT,
        Kind.FLAG,
        dtype="bool",
        description="whether the pair of the row has a jet at detector level; false for an inefficiency",
    ),
}
"""Field by level."""

OBSERVABLES = (
    Field("omnifold_multiplicity", Level.OBJECT, description="number of constituents"),
    Field("omnifold_lha", Level.OBJECT, description="Les Houches angularity, beta 1/2"),
    Field("omnifold_width", Level.OBJECT, description="width, beta 1"),
    Field("omnifold_angularity2", Level.OBJECT, description="angularity, beta 2"),
    Field("omnifold_tau2", Level.OBJECT, description="2-subjettiness, beta 1"),
    Field("omnifold_softdrop_mass", Level.OBJECT, unit="GeV", description="soft-drop mass, beta 0, zcut 0.1"),
    Field("omnifold_zg", Level.OBJECT, description="groomed momentum fraction, beta 0, zcut 0.1"),
)
"""What OmniFold's files (1911.09107) have of each jet; those of files are as the file gives them."""

BOSON = (
    Field("z_pt", Level.OBJECT, unit="GeV", description="transverse momentum of the Z boson, particle level"),
    Field("z_rapidity", Level.OBJECT, description="rapidity of the Z boson, particle level"),
    Field("z_phi", Level.OBJECT, Kind.ANGLE, "rad", description="azimuth of the Z boson, particle level"),
)

LEVEL_FIELDS = (JET_LEVEL, *PASSES.values(), *OBSERVABLES, *BOSON)
"""All of these."""
