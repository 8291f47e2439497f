"""The schema of calorimeter showers: one row is one shower, its constituents are hits. Units GeV, mm."""

from __future__ import annotations

from hepfm.core.schema import Field, Kind, Level, Schema

SHOWER_FIELDS = (
    Field("incident_energy", Level.OBJECT, unit="GeV", description="energy of the incident particle"),
    Field("shower_energy", Level.OBJECT, unit="GeV", description="sum of the hits' energies"),
)
HIT_FIELDS = (
    Field("hit_energy", Level.CONSTITUENT, unit="GeV", description="energy of the cell or point"),
    Field("hit_x", Level.CONSTITUENT, unit="mm", description="across the shower"),
    Field("hit_y", Level.CONSTITUENT, unit="mm", description="across the shower"),
    Field(
        "hit_layer", Level.CONSTITUENT, Kind.COUNT, dtype="int16", description="number of the layer, from 0"
    ),
)


def shower_schema(*, incident: bool = True) -> Schema:
    """Return the schema of a store of showers, without a label; hits stand in falling order of energy.

    Parameters
    ----------
    incident
        Whether the incident energies are known.
    """
    return Schema((*SHOWER_FIELDS[0 if incident else 1 :], *HIT_FIELDS), Level.OBJECT)
