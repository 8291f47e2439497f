"""The schema of jets: one row is one jet, its constituents are lists. Units GeV, mm, rad."""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level, Schema

PID_CLASSES = ("charged_hadron", "neutral_hadron", "photon", "electron", "muon", "other")
"""Reconstructed particle types, in the order of JetClass's flags, then everything else."""

JETCLASS_CLASSES = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
"""The ten JetClass classes in their published order (2202.03772)."""

KINEMATIC_CONSTITUENT_FIELDS = (
    Field("part_pt", Level.CONSTITUENT, unit="GeV", description="transverse momentum"),
    Field("part_eta", Level.CONSTITUENT, description="pseudorapidity"),
    Field("part_phi", Level.CONSTITUENT, Kind.ANGLE, "rad", description="azimuth in (-pi, pi]"),
    Field("part_energy", Level.CONSTITUENT, unit="GeV", description="energy"),
)
IDENTITY_CONSTITUENT_FIELDS = (
    Field("part_charge", Level.CONSTITUENT, unit="e", dtype="float32", description="electric charge"),
    Field(
        "part_pid", Level.CONSTITUENT, Kind.CATEGORICAL, dtype="int8", classes=PID_CLASSES, description="type"
    ),
)
TRACK_CONSTITUENT_FIELDS = (
    Field("part_d0", Level.CONSTITUENT, unit="mm", description="transverse impact parameter; 0 for neutrals"),
    Field("part_d0_error", Level.CONSTITUENT, unit="mm", description="its uncertainty; 0 for neutrals"),
    Field(
        "part_dz", Level.CONSTITUENT, unit="mm", description="longitudinal impact parameter; 0 for neutrals"
    ),
    Field("part_dz_error", Level.CONSTITUENT, unit="mm", description="its uncertainty; 0 for neutrals"),
)
JET_FIELDS = (
    Field("jet_pt", Level.OBJECT, unit="GeV", description="transverse momentum of the clustered jet"),
    Field("jet_eta", Level.OBJECT, description="pseudorapidity of the clustered jet"),
    Field("jet_phi", Level.OBJECT, Kind.ANGLE, "rad", description="azimuth of the clustered jet"),
    Field("jet_energy", Level.OBJECT, unit="GeV", description="energy of the clustered jet"),
)
SUBSTRUCTURE_FIELDS = (
    Field("jet_softdrop_mass", Level.OBJECT, unit="GeV", description="soft-drop mass, beta 0, zcut 0.1"),
    *(
        Field(f"jet_tau{n}", Level.OBJECT, description=f"{n}-subjettiness, beta 1, one-pass kT axes, R0 0.8")
        for n in (1, 2, 3, 4)
    ),
)
JET_WEIGHT = Field("jet_weight", Level.OBJECT, description="event weight; jets of one event share it")


def jet_schema(
    classes: tuple[str, ...] = (),
    *,
    identity: bool = True,
    tracks: bool = True,
    substructure: bool = True,
    weight: bool = False,
    extra: tuple[Field, ...] = (),
) -> Schema:
    """Return the schema of a jet store.

    Parameters
    ----------
    classes
        Class names of the label field ``jet_label``; empty for unlabelled jets.
    identity, tracks, substructure
        Whether the data have charge and type, impact parameters, soft-drop mass and N-subjettiness.
    weight
        Whether the rows have event weights, in the field `JET_WEIGHT`.
    extra
        Further fields.
    """
    fields = (
        *JET_FIELDS,
        *(SUBSTRUCTURE_FIELDS if substructure else ()),
        *(
            (Field("jet_label", Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=classes),)
            if classes
            else ()
        ),
        *((JET_WEIGHT,) if weight else ()),
        *KINEMATIC_CONSTITUENT_FIELDS,
        *(IDENTITY_CONSTITUENT_FIELDS if identity else ()),
        *(TRACK_CONSTITUENT_FIELDS if tracks else ()),
        *extra,
    )
    label = "jet_label" if classes else None
    return Schema(fields, Level.OBJECT, label, JET_WEIGHT.name if weight else None)
