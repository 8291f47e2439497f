"""Cross sections of the classes of a store, as the provenance of a simulation tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FB_PER_MB = 1e12


def passing_cross_sections(provenance: Mapping[str, Any]) -> dict[str, float]:
    """Return the cross section (fb) that the rows of each class stand for, together.

    It is that of the process times the fraction of its events that passed the selection. Classes of which it
    is not known are left out, and those that are made of several processes, e.g. of several masses: whether
    these are to be added is not for a store to say.

    Examples
    --------
    Of 4,000 events of a process of 1 nb a quarter passed:

    >>> made = {"sigma_mb": 1e-6, "sum_of_event_weights": 4000.0, "events_found": 1000, "events_kept": 900}
    >>> passing_cross_sections({"classes": {"tt": {"processes": [made]}}})
    {'tt': 250000.0}
    """
    classes = provenance.get("classes", {})
    if not isinstance(classes, Mapping):
        return {}
    processes = {
        name: row["processes"]
        for name, row in classes.items()
        if isinstance(row, Mapping) and "processes" in row
    }
    return {name: _passing(made[0]) for name, made in processes.items() if len(made) == 1}


def _passing(process: Mapping[str, Any]) -> float:
    found = next(value for key, value in process.items() if key.endswith("_found"))
    weight = float(process.get("unit", 1.0)) * float(found)
    return FB_PER_MB * float(process["sigma_mb"]) * weight / float(process["sum_of_event_weights"])
