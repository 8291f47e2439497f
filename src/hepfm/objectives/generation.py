"""What objectives that train a generator share: the class it is conditioned on, and the length of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.schema import Field, Kind, Schema


def conditioning_field(name: str | None, schema: Schema, *, objective: str) -> Field | None:
    """Return the field of that name, None for None; raise `IncompatibleError` unless it classifies rows."""
    if name is None:
        return None
    field = schema[name]
    if field.level is not schema.row or field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective {objective!r} is conditioned on the class of a row, and {name!r} is a {field.kind} "
            f"field of the {field.level}; name a categorical field of the rows with objective.label=FIELD"
        )
    return field


def conditioning_classes(batch: Batch, field: Field | None, *, dropout: float, draws: Draws) -> Tensor:
    """Return class numbers, (B,); with probability `dropout` each is replaced by K, "no class given"."""
    if field is None:
        return torch.zeros_like(batch.rows_B)
    drawn_B = draws.rows(batch.rows_B).uniform("label_dropout")
    return batch.labels[field.name].masked_fill(drawn_B < dropout, len(field.classes))


def check_length(batch: Batch, max_constituents: int) -> None:
    """Raise `DataError` for a row that is longer than what the generator makes."""
    if batch.mask_BN.shape[1] <= max_constituents:
        return
    longest = int(batch.mask_BN.sum(1).max())
    if longest > max_constituents:
        raise DataError(
            f"a row has {longest} constituents and the generator makes up to {max_constituents}; raise "
            "objective.max_constituents or lower data.max_constituents"
        )
