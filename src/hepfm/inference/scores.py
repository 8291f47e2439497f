"""What a model says of rows: scores of its heads, and summary vectors."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.ragged import Array, Columns
from hepfm.core.schema import Kind
from hepfm.data.row_source import Rows, RowSource
from hepfm.inference.over_rows import over_rows
from hepfm.models.directory import Model
from hepfm.models.fixture import EMBEDDING, forward


def score(
    model: Model,
    source: RowSource,
    *,
    rows: Rows = None,
    batch_size: int | None = None,
    device: str = "cpu",
) -> dict[str, Array]:
    """Return what each head says of each row of a store or a table, in the order of `rows`.

    Returns
    -------
    dict
        By the name of the predicted field: class probabilities, float32 (R, K), for a categorical field;
        the value in its own unit, float32 (R,), for another.
    """

    def work(batch: Batch) -> Columns:
        outputs = forward(model.network, batch)
        return {name: _readable(model, name, outputs[name]) for name in model.outputs}

    columns = over_rows(work, model, source, rows=rows, batch_size=batch_size, device=device)
    return {name: np.asarray(column) for name, column in columns.items()}


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
        return {EMBEDDING: forward(model.network, batch)[EMBEDDING].cpu().numpy()}

    columns = over_rows(work, model, source, rows=rows, batch_size=batch_size, device=device)
    return np.asarray(columns[EMBEDDING])


def _readable(model: Model, name: str, raw_BK: Tensor) -> Array:
    if model.outputs[name].field.kind is Kind.CATEGORICAL:
        return raw_BK.softmax(-1).cpu().numpy()
    return raw_BK[:, 0].cpu().numpy()
