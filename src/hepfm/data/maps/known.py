"""Fields that a map need not describe."""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level
from hepfm.data.schemas.jets import (
    IDENTITY_CONSTITUENT_FIELDS,
    JET_FIELDS,
    JET_WEIGHT,
    KINEMATIC_CONSTITUENT_FIELDS,
    SUBSTRUCTURE_FIELDS,
    TRACK_CONSTITUENT_FIELDS,
)

KNOWN = {
    field.name: field
    for field in (
        *JET_FIELDS,
        *SUBSTRUCTURE_FIELDS,
        *KINEMATIC_CONSTITUENT_FIELDS,
        *IDENTITY_CONSTITUENT_FIELDS,
        *TRACK_CONSTITUENT_FIELDS,
        JET_WEIGHT,
    )
}
"""Those of jets, by name."""

LABEL = "jet_label"
WEIGHT = JET_WEIGHT
GROUP = Field(
    "event", Level.OBJECT, Kind.COUNT, dtype="int64", description="what rows that belong together share"
)
"""Fields of a map's label, weight and group."""
