"""Content: what batches are to hold of the rows of a source."""

from __future__ import annotations

from dataclasses import dataclass

from hepfm.core.errors import DataError
from hepfm.core.schema import Schema
from hepfm.data.context import ContextSet
from hepfm.data.features import KINEMATIC_COLUMNS, FeatureSet, has_momenta


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
    context
        What becomes ``Batch.context_BC``, or None.
    """

    features: FeatureSet
    labels: tuple[str, ...] = ()
    weights: str | None = None
    max_constituents: int = 128
    context: ContextSet | None = None

    def check(self, schema: Schema) -> None:
        """Raise `DataError` when the store cannot give this."""
        missing = self.features.missing(schema)
        if missing:
            raise DataError(
                f"feature set {self.features.name!r} needs fields that this store lacks: "
                f"{', '.join(missing)}; choose a smaller feature set, e.g. 'kin'"
            )
        missing = self.context.missing(schema) if self.context else []
        if self.context and missing:
            raise DataError(
                f"context set {self.context.name!r} needs fields that this store lacks: "
                f"{', '.join(missing)}; go without context"
            )
        if self.weights is not None:
            schema.check_weight(self.weights)
        for name in self._row_fields():
            if schema.is_ragged(name):
                raise DataError(f"{name!r} holds lists; a label is one value a row")
        if self.max_constituents < 1:
            raise DataError(f"max_constituents must be at least 1, got {self.max_constituents}")

    def columns(self, schema: Schema) -> list[str]:
        """Return the fields to read."""
        momenta = KINEMATIC_COLUMNS if has_momenta(schema) else ()
        return list(dict.fromkeys([*self.features.columns, *momenta, *self._row_fields()]))

    def _row_fields(self) -> tuple[str, ...]:
        context = self.context.columns if self.context else ()
        return (*self.labels, *((self.weights,) if self.weights else ()), *context)
