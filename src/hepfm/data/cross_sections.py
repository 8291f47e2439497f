"""Cross sections of the classes of a store, as its provenance tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CROSS_SECTION = "cross_section_fb"
"""Key of a class in a simulation's provenance: the cross section (fb) of its rows, that of the process times
the fraction that passed the selection, per row kept."""


def passing_cross_sections(provenance: Mapping[str, Any]) -> dict[str, float]:
    """Return the cross section (fb) of the rows of each class; classes of which it is not known are left
    out."""
    classes = provenance.get("classes", {})
    return {
        name: float(row[CROSS_SECTION])
        for name, row in classes.items()
        if isinstance(row, Mapping) and CROSS_SECTION in row
    }
