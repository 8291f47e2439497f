"""Objects that are one thing seen twice: the removal of overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.ragged import Array
from hepfm.data.event_objects import EventObjects, distances

ObjectName = Literal["electron", "muon", "photon", "tau", "jet"]

PRECEDENCE: tuple[ObjectName, ...] = ("muon", "electron", "tau", "photon", "jet")
"""Of two objects of different types at one place that of the earlier type is kept."""


class Overlap(Config):
    """One step of the removal of overlaps.

    Attributes
    ----------
    drop, near, radius
        Objects of the type `drop` within `radius` of one of the type `near` are dropped.
    """

    drop: ObjectName
    near: ObjectName
    radius: float = pydantic.Field(gt=0)


def by_precedence(radius: float) -> tuple[Overlap, ...]:
    """Return the steps that leave no object within `radius` of one of an earlier type of `PRECEDENCE`."""
    return tuple(
        Overlap(drop=kind, near=earlier, radius=radius)
        for place, kind in enumerate(PRECEDENCE)
        for earlier in PRECEDENCE[:place]
    )


def remove_overlaps(objects: EventObjects, steps: Sequence[Overlap]) -> EventObjects:
    """Return the objects that are left after all steps, in their order.

    What a step drops makes nothing drop in later ones.
    """
    for step in steps:
        keep = np.ones(len(objects), bool)
        keep[_near(objects, step)] = False
        objects = objects.take(keep)
    return objects


def _near(objects: EventObjects, step: Overlap) -> Array:
    candidates = np.flatnonzero(objects.of_type(step.drop))
    others = np.flatnonzero(objects.of_type(step.near))
    i, j, distance = distances(objects.take(candidates), objects.take(others))
    return np.asarray(candidates[i[(distance < step.radius) & (candidates[i] != others[j])]])
