"""The schema of events: one row is one collision, its objects are one list. Units GeV, rad.

A row holds what a detector reconstructed (jets, leptons, photons, the missing transverse momentum) and, of
simulated events, the particles of the hard process, told apart by ``object_level``. Reconstructed objects
stand first, and within a level they stand in falling order of pt, so that a cut on their number keeps the
hardest. A feature set names the levels that it reads (`hepfm.data.features.FeatureSet.chosen`): no network is
shown generator objects unless it is meant to be.
"""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level, Schema

OBJECT_LEVELS = ("reconstructed", "generator")
"""Classes of ``object_level``."""

OBJECT_TYPES = (
    *("jet", "electron", "muon", "tau", "photon", "met"),
    *("neutrino", "bottom", "quark", "gluon", "top", "w", "z", "higgs", "other"),
)
"""Classes of ``object_type``. A reconstructed object is one of the first six: ``tau`` is a hadronic tau that
was identified, ``met`` the missing transverse momentum, with eta = 0 and the energy that makes it massless. A
generator object is any but ``jet`` and ``met``; ``quark`` is one of u, d, s, c, and ``other`` a particle
beyond the Standard Model."""

_RESONANCES = ("t", "tbar", "h", "w", "w2", "z", "z2", "x")
_DAUGHTERS = ("b", "q", "g", "l", "tau", "nu", "photon")
OBJECT_ROLES = ("none", *(f"{of}_{what}" for of in _RESONANCES for what in _DAUGHTERS))
"""Classes of ``object_role``: which daughter of which resonance an object is, by the truth. The resonance is
the outermost one of the Standard Model: a quark from t -> W b -> q q b is ``t_q``, and a lepton from H -> W W
is ``h_l``; ``w2`` and ``z2`` are the second W or Z (the first has the greater pt) that comes from none of the
others, and ``x`` is a particle beyond the Standard Model that decays to what is no such resonance. A
reconstructed object has the role of the generator object that it was matched with."""

INITIAL_STATES = ("other", "gg", "qg", "qqbar", "qq")
"""Classes of ``event_initial_state``: the incoming partons of the hard process; ``qqbar`` are a quark and its
antiparticle, ``qq`` all other pairs of quarks."""

OBJECT_FIELDS = (
    Field("object_pt", Level.OBJECT, unit="GeV", description="transverse momentum"),
    Field("object_eta", Level.OBJECT, description="pseudorapidity"),
    Field("object_phi", Level.OBJECT, Kind.ANGLE, "rad", description="azimuth in (-pi, pi]"),
    Field("object_energy", Level.OBJECT, unit="GeV", description="energy"),
    Field(
        "object_type",
        Level.OBJECT,
        Kind.CATEGORICAL,
        dtype="int8",
        classes=OBJECT_TYPES,
        description="what it is",
    ),
    Field(
        "object_level",
        Level.OBJECT,
        Kind.CATEGORICAL,
        dtype="int8",
        classes=OBJECT_LEVELS,
        description="whether a detector saw it or the generator made it",
    ),
)
OBJECT_CHARGE = Field(
    "object_charge", Level.OBJECT, unit="e", description="electric charge; 0 for jets and missing momentum"
)
OBJECT_B_TAG = Field(
    "object_b_tag",
    Level.OBJECT,
    description="of jets: 1 for a b tag, 0 for none, or the tagger's score; 0 for all else",
)
OBJECT_TRUTH_FIELDS = (
    Field(
        "object_pdg",
        Level.OBJECT,
        Kind.COUNT,
        dtype="int32",
        description="signed code of the Particle Data Group of a generator object; 0 for reconstructed ones",
    ),
    Field(
        "object_role",
        Level.OBJECT,
        Kind.CATEGORICAL,
        dtype="int8",
        classes=OBJECT_ROLES,
        description="which daughter of which resonance it is, by the truth",
    ),
)
EVENT_WEIGHT = Field("event_weight", Level.EVENT, description="event weight")
INITIAL_STATE = Field(
    "event_initial_state",
    Level.EVENT,
    Kind.CATEGORICAL,
    dtype="int8",
    classes=INITIAL_STATES,
    description="incoming partons of the hard process",
)
RESONANCE_MASS = Field(
    "event_resonance_mass",
    Level.EVENT,
    unit="GeV",
    description="mass parameter of the resonance that was simulated; 0 for processes without one",
)
EVENT_TRUTH_FIELDS = (INITIAL_STATE, RESONANCE_MASS)


def event_schema(
    classes: tuple[str, ...] = (),
    *,
    charge: bool = True,
    b_tag: bool = True,
    truth: bool = False,
    weight: bool = False,
    extra: tuple[Field, ...] = (),
) -> Schema:
    """Return the schema of an event store.

    Parameters
    ----------
    classes
        Class names (processes) of the label field ``event_label``; empty for unlabelled events.
    charge, b_tag
        Whether the data have charges, and b tags of jets.
    truth
        Whether the rows have generator objects, roles and facts about the hard process, from a simulation.
    weight
        Whether the rows have event weights, in the field `EVENT_WEIGHT`.
    extra
        Further fields.
    """
    label = Field("event_label", Level.EVENT, Kind.CATEGORICAL, dtype="int16", classes=classes or ("none",))
    fields = (
        *((label,) if classes else ()),
        *((EVENT_WEIGHT,) if weight else ()),
        *(EVENT_TRUTH_FIELDS if truth else ()),
        *OBJECT_FIELDS,
        *((OBJECT_CHARGE,) if charge else ()),
        *((OBJECT_B_TAG,) if b_tag else ()),
        *(OBJECT_TRUTH_FIELDS if truth else ()),
        *extra,
    )
    return Schema(
        fields, Level.EVENT, "event_label" if classes else None, EVENT_WEIGHT.name if weight else None
    )
