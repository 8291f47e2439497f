"""Objects that are one thing seen twice: the removal of overlaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hepfm.simulate.event_objects import Objects, distances
from hepfm.simulate.object_recipe import Overlap
from hepfm.simulate.particles import Ints


def remove_overlaps(objects: Objects, steps: Sequence[Overlap]) -> Objects:
    """Return the objects that are left after all steps, in their order; see `Overlap`.

    What a step drops makes nothing drop in later ones.
    """
    for step in steps:
        dropped = _near(objects, step)
        keep = np.ones(len(objects), bool)
        keep[dropped] = False
        objects = objects.take(keep)
    return objects


def _near(objects: Objects, step: Overlap) -> Ints:
    candidates = np.flatnonzero(objects.of_type(step.drop))
    others = np.flatnonzero(objects.of_type(step.near))
    i, j, distance = distances(objects.take(candidates), objects.take(others))
    return candidates[i[(distance < step.radius) & (candidates[i] != others[j])]]
