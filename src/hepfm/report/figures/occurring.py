"""Which classes a panel shows: those that occur, of objects the commonest ones; codes count as classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepfm.core.ragged import Array
from hepfm.core.schema import Field, Kind
from hepfm.report.figures.bins import MOST_NAMES

CODES = ("object_pdg",)
"""Codes, which are no numbers: those beyond the Standard Model have seven digits."""
REST = "rest"
"""All classes that have no place at the axis."""


def occurring(field: Field, values: Array, *, of_objects: bool) -> tuple[Field, Array]:
    """Return a field with the classes that are shown, and its values as numbers of these.

    Classes that do not occur are left out where all others then have a place at the axis. Of objects of
    events the commonest classes are shown in any case, in their order, and then the rest together. Codes of
    particles are classes too, those of antiparticles with the particles.

    Parameters
    ----------
    field
        What the values are; other kinds of fields are returned as they are.
    values
        All values.
    of_objects
        Whether they are of objects of events of one level or type.
    """
    if field.name in CODES:
        field, values = _codes(field, values)
    if not field.classes or not (of_objects or len(field.classes) > MOST_NAMES):
        return field, values
    occur, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
    if not len(occur) or (len(occur) > MOST_NAMES and not of_objects):
        return field, values
    names = [field.classes[number] for number in occur]
    if len(occur) <= MOST_NAMES:
        return replace(field, classes=tuple(names)), numbers
    shown = np.sort(np.argsort(-counts, kind="stable")[: MOST_NAMES - 1])
    place = np.full(len(occur), len(shown))
    place[shown] = np.arange(len(shown))
    return replace(field, classes=(*(names[number] for number in shown), REST)), place[numbers]


def _codes(field: Field, values: Array) -> tuple[Field, Array]:
    """Return codes without their signs as classes."""
    occur, numbers = np.unique(np.abs(values), return_inverse=True)
    classes = tuple(map(str, occur)) or (REST,)
    return replace(field, name=f"|{field.name}|", kind=Kind.CATEGORICAL, classes=classes), numbers
