"""Which objects of events are drawn together: those of a level, and in it those of each type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array, Columns, lists
from hepfm.core.schema import Level, Schema
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_TYPES

NEEDED = ("object_type", "object_level")
_BY_TYPE = "object_pt"
_ONLY = {"object_b_tag": ("reconstructed", "jet"), "object_pdg": ("generator", None)}
"""Level and type of the objects for which a field means something; None for all types."""


@dataclass(frozen=True)
class ObjectPart:
    """Some objects of events.

    Attributes
    ----------
    name
        What they are.
    mask
        Which of all objects, boolean.
    fields
        What is drawn of them.
    numbered
        Whether their number in each event is drawn.
    """

    name: str
    mask: Array
    fields: tuple[str, ...]
    numbered: bool


def has_parts(schema: Schema) -> bool:
    """Tell whether rows are events with objects of several types."""
    return schema.row is Level.EVENT and all(name in schema for name in NEEDED)


def object_parts(schema: Schema, columns: Columns) -> Iterator[ObjectPart]:
    """Yield the parts in the order in which they are drawn.

    Parameters
    ----------
    schema
        The fields.
    columns
        Those of `NEEDED`.
    """
    kind, level = (lists(columns, name).values for name in NEEDED)
    fields = [name for name in schema.names(Level.OBJECT) if name != "object_level"]
    for number, of in enumerate(OBJECT_LEVELS):
        inside = level == number
        if not inside.any():
            continue
        common = [name for name in fields if name != _BY_TYPE and _ONLY.get(name, (of, None)) == (of, None)]
        yield ObjectPart(of, inside, tuple(common), numbered=False)
        for code in np.unique(kind[inside]):
            name = OBJECT_TYPES[code]
            own = [one for one in fields if one == _BY_TYPE or _ONLY.get(one) == (of, name)]
            told = name if of == "reconstructed" else f"{of} {name}"
            yield ObjectPart(told, inside & (kind == code), tuple(own), numbered=name != "met")
