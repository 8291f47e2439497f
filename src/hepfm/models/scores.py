"""What a model says of rows: scores of its heads, and summary vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Kind, Schema
from hepfm.data.row_source import Rows, RowSource
from hepfm.heads.assignment import AssignmentHead
from hepfm.heads.momenta import Momenta
from hepfm.models.assignment import TYPES, roles_of
from hepfm.models.directory import Model
from hepfm.models.fixture import EMBEDDING
from hepfm.models.hidden import hidden_momenta
from hepfm.models.over_rows import of_constituents, over_rows
from hepfm.models.places import at_their_places
from hepfm.models.vertices import vertices_of
from hepfm.nn.pooling import summary

_PLACED = ("constituent", "assignment")
"""Levels of heads whose outputs are put at the places of the source's lists."""

APART = ("solutions", "segment")
"""Levels of heads whose outputs are no columns: see `hepfm.models.neutrinos` and `hepfm.models.segments`."""

CHARGE = "part_charge"
"""Field that says which constituents have a track, where a model finds their vertices."""


def score(
    model: Model,
    source: RowSource,
    *,
    rows: Rows = None,
    batch_size: int | None = None,
    device: str = "cpu",
    with_embedding: bool = False,
) -> dict[str, Any]:
    """Return what each head says of each row of a store or a table, in the order of `rows`.

    Parameters
    ----------
    model, source, rows, batch_size, device
        As of `hepfm.models.over_rows.over_rows`.
    with_embedding
        Return the summary vectors too, of the same pass of the network: float32 (R, D), ``"embedding"``.

    Returns
    -------
    dict
        By the name of the predicted field: class probabilities, float32 (R, K), for a categorical field;
        the value in its own unit, float32 (R,), for another. Of a head of constituents lists: class
        probabilities, float32 (n, K), for the n constituents that the model reads. Of a head of pairs the
        numbers of the vertices that they form, int16, see `hepfm.models.vertices.vertices_of`; of one of
        hidden constituents their momenta, float32 (n, 4), see `hepfm.models.hidden.hidden_momenta`. Of a head
        of assignments the numbers of the objects' roles, int8, see `hepfm.models.assignment.roles_of`. Lists
        of constituents and of roles begin like those of the source; zeros stand for entries that are no
        constituents of the model.

    Raises
    ------
    IncompatibleError
        When the source lacks fields that the model reads, or that tell which constituents have a track, or
        what objects are.
    """
    assigned = any(output.head.cls.level == "assignment" for output in model.outputs.values())
    if assigned and TYPES not in source.schema:
        raise IncompatibleError(
            f"the model assigns objects to resonances by what they are, and {source.name} has no {TYPES!r}"
        )
    paired = any(output.head.cls.level == "pair" for output in model.outputs.values())
    if paired and CHARGE not in source.schema:
        raise IncompatibleError(
            f"the model finds vertices of tracks, and {source.name} has no {CHARGE!r} that says which "
            "constituents have one"
        )

    def work(batch: Batch) -> Columns:
        features = model.network.features(batch)
        mask_BN = features.token_mask(batch.mask_BN)
        said = {
            name: _said(model, name, features, batch, source.schema)
            for name, output in model.outputs.items()
            if output.head.cls.level not in APART
        }
        return {**said, EMBEDDING: _summary(features, mask_BN)} if with_embedding else said

    labels = (*((CHARGE,) if paired else ()), *((TYPES,) if assigned else ()))
    columns = over_rows(work, model, source, rows=rows, labels=labels, batch_size=batch_size, device=device)
    placed = [name for name, output in model.outputs.items() if output.head.cls.level in _PLACED]
    return {
        **columns,
        **{name: at_their_places(lists(columns, name), model.features, source, rows) for name in placed},
    }


def embed(
    model: Model,
    source: RowSource,
    *,
    rows: Rows = None,
    batch_size: int | None = None,
    device: str = "cpu",
) -> Array:
    """Return the summary vector of each row, float32 (R, D), in the order of `rows`."""

    def work(batch: Batch) -> Columns:
        features = model.network.features(batch)
        return {EMBEDDING: _summary(features, features.token_mask(batch.mask_BN))}

    columns = over_rows(work, model, source, rows=rows, batch_size=batch_size, device=device)
    return np.asarray(columns[EMBEDDING])


def _summary(features: Features, mask_BN: Tensor) -> Array:
    """Return the summary vectors, float32 (B, D)."""
    return summary(features.tokens_BND, features.pooled_BD, mask_BN).float().cpu().numpy()


def _said(model: Model, name: str, features: Features, batch: Batch, schema: Schema) -> Array | Ragged:
    """Return what a head says of a batch."""
    head, mask_BN = model.network.heads[name], features.token_mask(batch.mask_BN)
    if isinstance(head, Momenta):
        return of_constituents(*hidden_momenta(model.network, head, batch))
    if isinstance(head, AssignmentHead):
        return _roles(model, name, features, batch, schema)
    return _readable(model, name, head(features, mask_BN).float(), batch)


def _roles(model: Model, name: str, features: Features, batch: Batch, schema: Schema) -> Ragged:
    """Return the roles of objects that a head of assignments gives."""
    head = model.network.heads[name]
    assert isinstance(head, AssignmentHead)
    types_BN, fields = batch.labels[TYPES], {"role": model.outputs[name].field, "types": schema[TYPES]}
    return roles_of(head, features, batch.mask_BN, types_BN, **fields)


def _readable(model: Model, name: str, raw: Tensor, batch: Batch) -> Array | Ragged:
    """Return what a head says in words of the schema, from its outputs, (B, K), (B, N, K) or (B, N, N)."""
    output = model.outputs[name]
    if output.head.cls.level == "pair":
        return vertices_of(raw, batch.mask_BN, batch.mask_BN & (batch.labels[CHARGE] != 0))
    if output.head.cls.level == "constituent":
        return of_constituents(raw.softmax(-1), batch.mask_BN)
    if output.field.kind is Kind.CATEGORICAL:
        return raw.softmax(-1).cpu().numpy()
    return raw[:, 0].cpu().numpy()
