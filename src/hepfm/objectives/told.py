"""The class of a row that a generator is told."""

from __future__ import annotations

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Kind, Schema


def told_field(name: str | None, schema: Schema, *, objective: str) -> Field | None:
    """Return the field of that name, None for None; raise `IncompatibleError` unless it classifies rows."""
    if name is None:
        return None
    field = schema[name]
    if field.level is not schema.row or field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective {objective!r} is told the class of a row, and {name!r} is a {field.kind} field of "
            f"the {field.level}; name a categorical field of the rows with objective.label=FIELD"
        )
    return field


def told_classes(batch: Batch, field: Field | None, *, rate: float, draws: Draws) -> Tensor:
    """Return class numbers, (B,); with probability `rate` each is replaced by K, which stands for none."""
    if field is None:
        return torch.zeros_like(batch.rows_B)
    drawn_B = draws.rows(batch.rows_B).uniform("label_dropout")
    return batch.labels[field.name].masked_fill(drawn_B < rate, len(field.classes))
