"""Pool: some thousand rows in memory, from which batches are cut without a loop over rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from hepfm.core.batch import Batch
from hepfm.core.ragged import Array, Columns, Ragged, gather_index, lists
from hepfm.core.schema import Kind, Schema
from hepfm.data.content import Content
from hepfm.data.row_source import RowSource
from hepfm.data.whole_rows import refuse_cut


class RowPool:
    """Rows in memory as they are stored; features are computed for one batch at a time.

    Parameters
    ----------
    source
        Where the rows come from.
    content
        What batches hold.
    rows
        Row numbers; reading is fastest when they rise.
    """

    def __init__(self, source: RowSource, content: Content, rows: range | npt.NDArray[np.int64]) -> None:
        self._content, self._schema = content, source.schema
        columns = source.read(content.columns(source.schema), rows)
        self._columns = content.features.choose(columns)
        self._offsets = lists(self._columns, content.features.entries).offsets
        self.rows = np.asarray(rows, np.int64)
        self.lengths = np.minimum(np.diff(self._offsets), content.max_constituents)
        if content.features.whole_rows:
            refuse_cut(source.name, self.rows, np.diff(self._offsets), content.max_constituents)
        # Of the whole row: also of entries that are no constituents of it.
        self._context = content.context.compute(columns, self.lengths) if content.context else None
        self._targets = {target.name: torch.from_numpy(target.compute(columns)) for target in content.targets}
        self._subjets = (
            content.subjets.read(source, self.rows, self._columns, content.features, self.lengths)
            if content.subjets
            else {}
        )

    def by_length(self, members: npt.NDArray[np.int64], batch_size: int) -> list[npt.NDArray[np.int64]]:
        """Return `members` (numbers within the pool) in batches of similar length."""
        order = members[np.argsort(self.lengths[members], kind="stable")]
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def batch(self, members: npt.NDArray[np.int64]) -> Batch:
        """Return the batch of some members, padded to the longest of them."""
        columns = self._take(members)
        lengths = self.lengths[members]
        slots = np.arange(max(1, int(lengths.max(initial=0))))
        mask = slots < lengths[:, None]
        total = int(lengths.sum())
        index = np.full(mask.shape, total)
        index[mask] = np.arange(total)
        content = self._content
        weights = None if content.weights is None else np.asarray(columns[content.weights], np.float32)
        group = self._schema.group
        labels = {name: _label(self._schema, columns, name, index) for name in content.labels}
        return Batch(
            features_BNF=_padded(content.features.compute, columns, len(content.features), index),
            mask_BN=torch.from_numpy(mask),
            rows_B=torch.from_numpy(self.rows[members]),
            p4_BN4=self._momenta(columns, index),
            context_BC=None if self._context is None else torch.from_numpy(self._context[members]),
            labels=labels,
            weights_B=None if weights is None else torch.from_numpy(weights),
            group_B=None if group is None else torch.from_numpy(np.asarray(columns[group], np.int64)),
            targets={name: values[members] for name, values in self._targets.items()},
            subjets={
                name: torch.from_numpy(number[members, : len(slots)])
                for name, number in self._subjets.items()
            },
            absent=content.features.absent,
        )

    def _momenta(self, columns: Columns, index: npt.NDArray[np.int64]) -> torch.Tensor | None:
        features = self._content.features
        if not features.has_momenta(self._schema):
            return None
        return _padded(features.four_momenta, columns, 4, index)

    def _take(self, members: npt.NDArray[np.int64]) -> dict[str, Array | Ragged]:
        index, offsets = gather_index(self._offsets[members], self.lengths[members])
        entries = torch.from_numpy(index)
        return {
            name: Ragged(_select(column.values, entries), offsets)
            if isinstance(column, Ragged)
            else column[members]
            for name, column in self._columns.items()
        }


def _select(values: Array, entries: torch.Tensor) -> Array:
    """Return ``values[entries]``; torch does it more than twice as fast as NumPy."""
    selected: Array = torch.from_numpy(values).index_select(0, entries).numpy()
    return selected


def _label(schema: Schema, columns: Columns, name: str, index: npt.NDArray[np.int64]) -> torch.Tensor:
    """Return a label of rows, (B,), or of their constituents in slots, (B, N); see `Batch.labels`."""
    column = columns[name]
    if not isinstance(column, Ragged):
        return torch.from_numpy(label_values(schema, columns, name))
    whole = schema[name].kind in (Kind.CATEGORICAL, Kind.COUNT)
    flat = np.append(column.values.astype(np.int64 if whole else np.float32), -1 if whole else 0)
    return torch.from_numpy(flat[index])


def label_values(schema: Schema, columns: Columns, name: str) -> Array:
    """Return a label as a batch carries it: int64 for a categorical field, else float32."""
    return np.asarray(columns[name]).astype(np.int64 if schema[name].kind is Kind.CATEGORICAL else np.float32)


def _padded(
    compute: Callable[..., Array], columns: Columns, width: int, index: npt.NDArray[np.int64]
) -> torch.Tensor:
    """Return computed values in slots, shape (B, N, width); the index beyond the last value means zeros."""
    total = next(len(column.values) for column in columns.values() if isinstance(column, Ragged))
    flat = np.empty((total + 1, width), np.float32)
    flat[-1] = 0
    compute(columns, out=flat[:-1])
    out = np.empty((*index.shape, width), np.float32)
    np.take(flat, index, axis=0, out=out, mode="clip")
    return torch.from_numpy(out)
