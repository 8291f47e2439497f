"""The fields of pairs of jets: of rows that are jets, two of an event, and of rows that are events."""

from __future__ import annotations

from hepfm.core.schema import Field, Level

DIJET_CLASSES = ("background", "signal")
"""The truth of the event in the LHC Olympics (2101.08320)."""

DIJET_MASS = Field(
    "event_dijet_mass",
    Level.OBJECT,
    unit="GeV",
    description="invariant mass of the two leading jets of the event; 0 where there is one jet",
)
