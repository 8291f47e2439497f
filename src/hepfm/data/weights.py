"""Event weights: which field they are, what they amount to in some rows, and rows drawn by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.core.schema import Schema
from hepfm.data.row_source import Rows, RowSource

AUTO = "auto"
"""Setting that takes the field with the schema's role `weight`, or equal weights where there is none."""

_CHUNK = 1_000_000
Floats = npt.NDArray[np.float64]
Source = TypeVar("Source", bound=RowSource)


def weight_field(setting: str | None, schema: Schema) -> str | None:
    """Return the field that weighs rows; None for equal weights.

    Parameters
    ----------
    setting
        `AUTO`, the name of a field, or None for equal weights.
    schema
        Of the store.

    Raises
    ------
    DataError
        When the field does not exist or cannot be a weight.
    """
    if setting == AUTO:
        return schema.weight
    if setting is not None:
        schema.check_weight(setting)
    return setting


def weighed(source: Source, setting: str | None) -> Source:
    """Return the rows with the role `weight` given to the field of a setting; see `weight_field`.

    Nothing is written. The fingerprint is another one where the role is: what is measured on it differs.
    """
    field = weight_field(setting, source.schema)
    if field == source.schema.weight:
        return source
    return source.with_schema(replace(source.schema, weight=field))


def read_weights(source: RowSource, rows: Rows) -> Floats | None:
    """Return the event weights of some rows by the schema's role; None where there is none."""
    field = source.schema.weight
    return None if field is None else np.asarray(source.read([field], rows)[field], np.float64)


def effective_rows(weights: Floats | None) -> float | None:
    """Return ``(sum w)^2 / sum w^2``; None without weights.

    >>> effective_rows(np.array([1.0, 1.0, 2.0]))
    2.6666666666666665
    """
    return None if weights is None else _effective(float(weights.sum()), float(weights @ weights))


def _effective(total: float, squares: float) -> float:
    return total**2 / squares if squares > 0 else 0.0


@dataclass(frozen=True)
class WeightSums:
    """What the weights of some rows amount to.

    Attributes
    ----------
    rows, negative, infinite
        Rows, those whose weight is below 0, and those whose weight is NaN or infinite.
    total, squares
        Sums of w and of w^2 over the finite weights.
    classes
        Rows and sum of w of each class of the label that has rows.
    """

    rows: int
    negative: int
    infinite: int
    total: float
    squares: float
    classes: dict[str, tuple[int, float]]

    @property
    def effective_rows(self) -> float:
        """``(sum w)^2 / sum w^2``: as many rows of equal weight have the same relative error of their sum."""
        return _effective(self.total, self.squares)

    @property
    def negative_share(self) -> float:
        """Share of rows with negative weight."""
        return self.negative / self.rows if self.rows else 0.0

    def line(self) -> str:
        """Return the sums in words."""
        return (
            f"sum {self.total:.6g}, effective rows {self.effective_rows:.1f} of {self.rows}, "
            f"negative weights {100 * self.negative_share:.1f} %"
        )


def sum_weights(source: RowSource, field: str, rows: Rows = None) -> WeightSums:
    """Add up the weights of some rows, a bounded number at a time; all rows by default."""
    names = source.schema.label_classes
    counts, totals = np.zeros(len(names), np.int64), np.zeros(len(names))
    number = negative = infinite = 0
    total = squares = 0.0
    for weights, labels in _pieces(source, field, rows):
        finite = np.isfinite(weights)
        number, infinite = number + len(weights), infinite + int((~finite).sum())
        negative += int((weights < 0).sum())
        weights = np.where(finite, weights, 0.0)
        total, squares = total + float(weights.sum()), squares + float(weights @ weights)
        if names:
            counts += np.bincount(labels, minlength=len(names))
            totals += np.bincount(labels, weights, minlength=len(names))
    classes = {
        name: (int(count), float(sum_))
        for name, count, sum_ in zip(names, counts, totals, strict=True)
        if count
    }
    return WeightSums(number, negative, infinite, total, squares, classes)


def _pieces(source: RowSource, field: str, rows: Rows) -> Iterator[tuple[Floats, Array]]:
    """Yield weights, and labels where they are classes, of the rows in pieces."""
    label = source.schema.label if source.schema.label_classes else None
    index = source.index(rows)
    for start in range(0, len(index), _CHUNK):
        columns = source.read([field, *([label] if label else [])], index[start : start + _CHUNK])
        labels = np.asarray(columns[label]).astype(np.int64) if label else np.zeros(0, np.int64)
        yield np.asarray(columns[field], np.float64), labels


def check_usable(sums: WeightSums, field: str, *, where: str) -> None:
    """Raise `DataError` when weights are not finite, or are zero in all rows."""
    if sums.infinite:
        raise DataError(
            f"{where}: {sums.infinite} of {sums.rows} weights {field!r} are NaN or infinite; drop those rows"
        )
    if sums.rows and sums.squares == 0:
        raise DataError(
            f"{where}: all {sums.rows} weights {field!r} are zero; take another field, or null for equal "
            "weights"
        )


def unweighted(weights: Floats, *, rng: np.random.Generator, where: str) -> npt.NDArray[np.int64]:
    """Return positions of rows kept with probability w / max(w): these rows follow the weighted distribution.

    Each row is kept at most once, so that what needs independent rows (nearest neighbours, classifiers) can
    use them with equal weights.

    Raises
    ------
    DataError
        When a weight is negative or not finite, or all are zero.
    """
    bad = ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        raise DataError(
            f"{where}: {int(bad.sum())} of {len(weights)} weights are negative or not finite; rows cannot be "
            "drawn by such weights: measure without them (--weights null), or drop those rows"
        )
    largest = float(weights.max(initial=0.0))
    if len(weights) and largest == 0:
        raise DataError(
            f"{where}: all {len(weights)} weights are zero; measure without them (--weights null)"
        )
    return np.flatnonzero(rng.random(len(weights)) * largest < weights)
