"""Fields that a map need not describe."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hepfm.core.schema import Field, Kind, Level
from hepfm.data.schemas.events import (
    EVENT_TRUTH_FIELDS,
    EVENT_WEIGHT,
    OBJECT_B_TAG,
    OBJECT_CHARGE,
    OBJECT_FIELDS,
    OBJECT_TRUTH_FIELDS,
)
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
        *OBJECT_FIELDS,
        OBJECT_CHARGE,
        OBJECT_B_TAG,
        *OBJECT_TRUTH_FIELDS,
        EVENT_WEIGHT,
        *EVENT_TRUTH_FIELDS,
    )
}
"""Those of jets, of whole events and of their objects, by name."""

_GROUP = Field(
    "event", Level.OBJECT, Kind.COUNT, dtype="int64", description="what rows that belong together share"
)


@dataclass(frozen=True)
class Roles:
    """Fields of a map's label, weight and group.

    Attributes
    ----------
    label
        Name of the field of the label.
    weight, group
        The fields.
    """

    label: str
    weight: Field
    group: Field


def roles_of(row: Level) -> Roles:
    """Return the fields of the roles of rows that are jets or events."""
    if row is Level.EVENT:
        return Roles("event_label", EVENT_WEIGHT, replace(_GROUP, level=row))
    return Roles("jet_label", JET_WEIGHT, _GROUP)
