"""The fields of pairs of jets: of rows that are jets, two of an event, and of rows that are events."""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.schemas.events import EVENT_WEIGHT

DIJET_CLASSES = ("background", "signal")
"""The truth of the event in the LHC Olympics (2101.08320)."""

DIJET_MASS = Field(
    "event_dijet_mass",
    Level.OBJECT,
    unit="GeV",
    description="invariant mass of the two leading jets of the event; 0 where there is one jet",
)

JET_FEATURES = ("pt", "eta", "phi", "mass", "tau1", "tau2", "tau3")
"""Features of each jet of a row that is an event: ``jet1_pt`` and so on."""

_SAID = {
    "pt": "transverse momentum",
    "eta": "pseudorapidity",
    "phi": "azimuth",
    "mass": "mass",
    **{f"tau{n}": f"{n}-subjettiness" for n in (1, 2, 3)},
}


def feature_schema(classes: tuple[str, ...] = (), *, weight: bool = False) -> Schema:
    """Return the schema of events of two jets, without constituents: that of the reader ``lhco_features``.

    Parameters
    ----------
    classes
        Class names of the label field ``event_label``; empty for events without label.
    weight
        Whether events have weights, in the field `EVENT_WEIGHT`.
    """
    fields = [
        Field(
            f"jet{number}_{name}",
            Level.EVENT,
            Kind.ANGLE if name == "phi" else Kind.CONTINUOUS,
            {"pt": "GeV", "mass": "GeV", "phi": "rad"}.get(name, "1"),
            description=f"{_SAID[name]} of jet {number}",
        )
        for number in (1, 2)
        for name in JET_FEATURES
    ]
    fields.append(
        Field(DIJET_MASS.name, Level.EVENT, unit="GeV", description="invariant mass of the two jets")
    )
    if classes:
        fields.append(Field("event_label", Level.EVENT, Kind.CATEGORICAL, dtype="int16", classes=classes))
    if weight:
        fields.append(EVENT_WEIGHT)
    label = "event_label" if classes else None
    return Schema(tuple(fields), Level.EVENT, label, EVENT_WEIGHT.name if weight else None)
