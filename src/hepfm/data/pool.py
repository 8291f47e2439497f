"""Pool: some thousand rows in memory, from which batches are cut without a loop over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hepfm.core.batch import Batch
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Kind, Schema
from hepfm.data.features import KINEMATIC_COLUMNS, FeatureSet, four_momenta
from hepfm.data.store import Store


@dataclass(frozen=True)
class Content:
    """What batches hold: features, labels, weights; checked against the schema of the store.

    Attributes
    ----------
    features
        The feature set.
    labels
        Row-level fields that become ``Batch.labels``.
    weights
        Row-level field that becomes ``Batch.weights_B``, or None.
    max_constituents
        Longer rows keep their first constituents, which are the hardest: stores are sorted by pt.
    """

    features: FeatureSet
    labels: tuple[str, ...] = ()
    weights: str | None = None
    max_constituents: int = 128

    def check(self, schema: Schema) -> None:
        """Raise `DataError` when the store cannot give this."""
        missing = self.features.missing(schema)
        if missing:
            raise DataError(
                f"feature set {self.features.name!r} needs fields that this store lacks: "
                f"{', '.join(missing)}; choose a smaller feature set, e.g. 'kin'"
            )
        for name in self._row_fields():
            if schema.is_ragged(name):
                raise DataError(f"{name!r} holds lists; a label or weight is one value a row")
        if self.max_constituents < 1:
            raise DataError(f"max_constituents must be at least 1, got {self.max_constituents}")

    def columns(self, schema: Schema) -> list[str]:
        """Return the fields to read."""
        momenta = KINEMATIC_COLUMNS if has_momenta(schema) else ()
        return list(dict.fromkeys([*self.features.columns, *momenta, *self._row_fields()]))

    def _row_fields(self) -> tuple[str, ...]:
        return (*self.labels, *((self.weights,) if self.weights else ()))


def has_momenta(schema: Schema) -> bool:
    """Tell whether constituents have four-momenta."""
    return all(name in schema for name in KINEMATIC_COLUMNS)


class Pool:
    """Rows with their features computed, ready to be cut into batches.

    Parameters
    ----------
    store
        Where the rows come from.
    content
        What batches hold.
    rows
        Row numbers; reading is fastest when they rise.
    """

    def __init__(self, store: Store, content: Content, rows: range | npt.NDArray[np.int64]) -> None:
        columns = store.read(content.columns(store.schema), rows)
        constituents = next(
            c for c in (columns[n] for n in content.features.columns) if isinstance(c, Ragged)
        )
        self.rows = np.asarray(rows, np.int64)
        self.lengths = np.minimum(constituents.lengths, content.max_constituents)
        self._starts = constituents.offsets[:-1]
        self._features = _zero_ended(len(constituents.values), len(content.features))
        content.features.compute(columns, out=self._features[:-1])
        self._momenta = None
        if has_momenta(store.schema):
            self._momenta = _zero_ended(len(constituents.values), 4)
            four_momenta(columns, out=self._momenta[:-1])
        self._labels = {name: label_values(store.schema, columns, name) for name in content.labels}
        self._weights = np.asarray(columns[content.weights], np.float32) if content.weights else None

    def by_length(self, members: npt.NDArray[np.int64], batch_size: int) -> list[npt.NDArray[np.int64]]:
        """Return `members` (numbers within the pool) in batches of similar length."""
        order = members[np.argsort(self.lengths[members], kind="stable")]
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def batch(self, members: npt.NDArray[np.int64]) -> Batch:
        """Return the batch of some members, padded to the longest of them."""
        lengths = self.lengths[members]
        slots = np.arange(max(1, int(lengths.max(initial=0))))
        mask = slots < lengths[:, None]
        index = np.where(mask, self._starts[members][:, None] + slots, len(self._features) - 1)
        return Batch(
            features_BNF=_gather(self._features, index),
            mask_BN=torch.from_numpy(mask),
            rows_B=torch.from_numpy(self.rows[members]),
            p4_BN4=None if self._momenta is None else _gather(self._momenta, index),
            labels={name: torch.from_numpy(values[members]) for name, values in self._labels.items()},
            weights_B=None if self._weights is None else torch.from_numpy(self._weights[members]),
        )


def label_values(schema: Schema, columns: Columns, name: str) -> Array:
    """Return a label as a batch carries it: int64 for a categorical field, else float32."""
    return np.asarray(columns[name]).astype(np.int64 if schema[name].kind is Kind.CATEGORICAL else np.float32)


def _zero_ended(count: int, width: int) -> Array:
    """Return room for `count` rows and one more, of zeros, which padding points to."""
    values = np.empty((count + 1, width), np.float32)
    values[-1] = 0
    return values


def _gather(values: Array, index: npt.NDArray[np.int64]) -> torch.Tensor:
    out = np.empty((*index.shape, values.shape[1]), values.dtype)
    np.take(values, index, axis=0, out=out, mode="clip")
    return torch.from_numpy(out)
