"""Target sets: what is to be predicted of a row and is no field of it, but is made of its lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array, Columns, lists
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.event_features import is_generator, is_type

SLOTS = 2
"""Neutrino and antineutrino."""


@dataclass(frozen=True)
class TargetSet:
    """Numbers of a row that are made of entries which its network does not read.

    Attributes
    ----------
    field
        Its name, unit and meaning, as if it were a field of the rows.
    shape
        Shape of the numbers of one row.
    columns
        Fields of the store that `compute` needs.
    compute
        Returns the numbers, float32 (R, *shape), of the whole rows.
    """

    field: Field
    shape: tuple[int, ...]
    columns: tuple[str, ...]
    compute: Callable[[Columns], Array]

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return self.field.name

    def missing(self, schema: Schema) -> list[str]:
        """Return the fields that this set needs and a schema lacks."""
        return [name for name in self.columns if name not in schema]


def _neutrinos(columns: Columns) -> Array:
    """Fill the slots of events that have at most one neutrino and one antineutrino."""
    pdg = lists(columns, "object_pdg")
    chosen = is_generator(columns) & is_type(columns, ("neutrino",))
    pt, eta, phi = (lists(columns, f"object_{name}").values[chosen] for name in ("pt", "eta", "phi"))
    row, slot = pdg.row_index()[chosen], (pdg.values[chosen] < 0).astype(np.int64)
    out = np.zeros((len(pdg), SLOTS, 4), np.float32)
    out[row, slot] = np.stack(
        [np.ones_like(pt), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1
    )
    count = np.zeros((len(pdg), SLOTS), np.int64)
    np.add.at(count, (row, slot), 1)
    out[(count > 1).any(1)] = np.nan
    return out


NEUTRINOS = TargetSet(
    Field(
        "event_neutrinos",
        Level.EVENT,
        unit="GeV",
        description="neutrino and antineutrino of the hard process: whether there is one, px, py, pz",
    ),
    (SLOTS, 4),
    ("object_pt", "object_eta", "object_phi", "object_type", "object_level", "object_pdg"),
    _neutrinos,
)
"""Neutrino and antineutrino of the hard process, (2, 4): 1 where there is one, px, py, pz (GeV), zeros else.
NaN for events with several of one kind, which have no answer."""

SEGMENTS = Field(
    "event_segments", Level.EVENT, description="decays of an event as sets of objects, each with a tag"
)
"""What a head of segments predicts; the truth is the roles of objects."""

RATIO_SAMPLE = Field(
    "ratio_sample",
    Level.EVENT,
    Kind.CATEGORICAL,
    dtype="int8",
    classes=("denominator", "numerator"),
    description="of which of two samples a row is; rows may count in both",
)
"""What a head of a density ratio predicts: the difference of its outputs is ln of the ratio."""

DERIVED = {field.name: field for field in (NEUTRINOS.field, SEGMENTS, RATIO_SAMPLE)}
"""Fields that heads predict and that no store has."""


def predicted_field(schema: Schema, name: str) -> Field:
    """Return the field that a head predicts: one of the data, or one that no store has."""
    return DERIVED.get(name) or schema[name]
