"""Content: what batches are to hold of the rows of a source."""

from __future__ import annotations

from dataclasses import dataclass

from hepfm.core.errors import DataError
from hepfm.core.schema import Schema
from hepfm.data import FEATURE_SETS, feature_set
from hepfm.data.clustering import Subjets
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.targets import TargetSet


@dataclass(frozen=True)
class Content:
    """What batches hold: features, labels, weights; checked against the schema of the store.

    Attributes
    ----------
    features
        The feature set.
    labels
        Fields of rows, or of their constituents, that become ``Batch.labels``.
    weights
        Row-level field that becomes ``Batch.weights_B``, or None.
    max_constituents
        Longer rows keep their first constituents, which are the hardest: stores are sorted by pt.
    context
        What becomes ``Batch.context_BC``, or None.
    subjets
        What makes ``Batch.subjets``, or None.
    targets
        What becomes ``Batch.targets``.
    """

    features: FeatureSet
    labels: tuple[str, ...] = ()
    weights: str | None = None
    max_constituents: int = 128
    context: ContextSet | None = None
    subjets: Subjets | None = None
    targets: tuple[TargetSet, ...] = ()

    def check(self, schema: Schema) -> None:
        """Raise `DataError` when the store cannot give this."""
        missing = self.features.missing(schema)
        if missing:
            raise DataError(
                f"feature set {self.features.name!r} needs fields that this store lacks: "
                f"{', '.join(missing)}; {_fitting(schema)}"
            )
        _check_level(self.features, schema)
        missing = self.context.missing(schema) if self.context else []
        if self.context and missing:
            raise DataError(
                f"context set {self.context.name!r} needs fields that this store lacks: "
                f"{', '.join(missing)}; go without context"
            )
        for target in self.targets:
            missing = target.missing(schema)
            if missing:
                raise DataError(
                    f"target set {target.name!r} needs fields that this store lacks: {', '.join(missing)}"
                )
        if self.subjets is not None:
            self.subjets.check(self.features, self.max_constituents)
        if self.weights is not None:
            schema.check_weight(self.weights)
        self._check_labels(schema)
        if self.max_constituents < 1:
            raise DataError(f"max_constituents must be at least 1, got {self.max_constituents}")

    def _check_labels(self, schema: Schema) -> None:
        entries = schema[self.features.entries].level
        for name in self.labels:
            if schema.is_ragged(name) and schema[name].level is not entries:
                raise DataError(
                    f"{name!r} holds lists of level {schema[name].level}; a label is one value a row, or one "
                    f"for each {entries}"
                )

    def columns(self, schema: Schema) -> list[str]:
        """Return the fields to read."""
        momenta = self.features.momentum_columns if self.features.has_momenta(schema) else ()
        group = (schema.group,) if schema.group else ()
        return list(dict.fromkeys([*self.features.columns, *momenta, *self._row_fields(), *group]))

    def _row_fields(self) -> tuple[str, ...]:
        context = self.context.columns if self.context else ()
        targets = (name for target in self.targets for name in target.columns)
        return (*self.labels, *((self.weights,) if self.weights else ()), *context, *targets)


def _fitting(schema: Schema) -> str:
    fitting = [name for name in FEATURE_SETS if not feature_set(name).missing(schema)]
    return f"it has those of {', '.join(fitting)}" if fitting else "it has those of no feature set"


def _check_level(features: FeatureSet, schema: Schema) -> None:
    level = schema[features.entries].level
    for name in features.columns:
        if schema.is_ragged(name) and schema[name].level is not level:
            raise DataError(
                f"feature set {features.name!r} reads lists of one level, and {name!r} is of level "
                f"{schema[name].level}, {features.entries!r} of level {level}"
            )
