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
ORIGIN_CLASSES = ("primary", "b", "b_to_c", "c", "tau", "strange", "other")
"""What a constituent's particle comes from: the primary vertex, or the decay of a hadron with a b quark, of
one with a c quark that came from such a decay, of one with a c quark that did not, of a tau lepton, of a
hadron with an s quark (K0S, Lambda ...), or of anything else that flies. See `hepfm.simulate.truth`."""

NO_VERTEX = -1
"""Vertex number of neutral constituents: they have no track that could point to one."""

TRUTH_CONSTITUENT_FIELDS = (
    Field(
        "part_origin",
        Level.CONSTITUENT,
        Kind.CATEGORICAL,
        dtype="int8",
        classes=ORIGIN_CLASSES,
        description="decay that its particle comes from; of a neutral one, that of the leading particle in "
        "its tower",
    ),
    Field(
        "part_vertex",
        Level.CONSTITUENT,
        Kind.COUNT,
        dtype="int16",
        description="number of its production vertex within the jet, 0 the primary one; -1 for neutrals",
    ),
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
        Field(f"jet_tau{n}", Level.OBJECT, description=f"{n}-subjettiness, beta 1, one-pass kT axes, R0 = R")
        for n in (1, 2, 3, 4)
    ),
)
ORIGIN = Field(
    "jet_origin",
    Level.OBJECT,
    Kind.COUNT,
    dtype="int64",
    description="number of what the jet comes from in the hard process: the same in every simulation of it",
)
"""The field with the schema's role `group` of jets that are simulated several times."""

VARIATION = "jet_variation"
"""Name of the field that says by which simulation of the hard event a jet was made."""

EVENT_ID = Field(
    "event_id", Level.OBJECT, Kind.COUNT, dtype="int64", description="number that jets of one event share"
)
"""The field with the role `group` of jets that are several of an event."""

JET_WEIGHT = Field("jet_weight", Level.OBJECT, description="event weight; jets of one event share it")


def variation_field(variations: tuple[str, ...]) -> Field:
    """Return the field `VARIATION` of simulations of these names."""
    return Field(
        VARIATION,
        Level.OBJECT,
        Kind.CATEGORICAL,
        dtype="int8",
        classes=variations,
        description="by which simulation of the hard process the jet was made",
    )


def jet_schema(
    classes: tuple[str, ...] = (),
    *,
    identity: bool = True,
    tracks: bool = True,
    substructure: bool = True,
    truth: bool = False,
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
    truth
        Whether the constituents have their origin and the number of their vertex, from a simulation.
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
        *(TRUTH_CONSTITUENT_FIELDS if truth else ()),
        *extra,
    )
    label = "jet_label" if classes else None
    return Schema(fields, Level.OBJECT, label, JET_WEIGHT.name if weight else None)
