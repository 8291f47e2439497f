"""Predictions: true classes and class probabilities of the same rows, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError, did_you_mean

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True)
class Predictions:
    """What a classifier says about n rows whose classes are known.

    Attributes
    ----------
    labels
        True class as an index into `classes`, shape (n,).
    probabilities
        Class probabilities, shape (n, K), in the order of `classes`.
    classes
        Names of the K classes.
    weights
        Weight of each row, shape (n,); None means 1. Single weights may be negative, as some of generators
        at next-to-leading order and some sWeights are: fractions of a class are then still estimated without
        bias, but may lie outside [0, 1].
    groups
        Number of the group of each row, shape (n,): rows of one group are resampled together. None for rows
        that are independent.

    Raises
    ------
    DataError
        When shapes disagree, a value is not finite, a label is outside the classes, there is no row, all
        weights are zero, or those of a class that are not zero do not sum to more than 0: its fractions would
        not be defined.
    """

    labels: IntArray
    probabilities: FloatArray
    classes: tuple[str, ...]
    weights: FloatArray | None = None
    groups: IntArray | None = None

    def __post_init__(self) -> None:
        n, num_classes = len(self.labels), len(self.classes)
        if n == 0:
            raise DataError("no rows to measure on: the test split is empty")
        if self.probabilities.shape != (n, num_classes):
            raise DataError(
                f"probabilities have shape {self.probabilities.shape}, expected ({n}, {num_classes}) for "
                f"{n} labels and the classes {', '.join(self.classes)}"
            )
        _check_finite(self.probabilities, "probabilities")
        if self.probabilities.min() < 0:
            raise DataError("probabilities are negative; give class probabilities, not logits")
        if self.labels.min() < 0 or self.labels.max() >= num_classes:
            reach = f"{self.labels.min()} to {self.labels.max()}"
            raise DataError(f"labels reach from {reach}, expected 0 to {num_classes - 1}")
        if self.weights is not None:
            self._check_weights(self.weights)
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise DataError(f"groups have shape {self.groups.shape}, expected {self.labels.shape}")

    @property
    def row_weights(self) -> FloatArray:
        """Weights with the default filled in, shape (n,)."""
        return np.ones(len(self.labels)) if self.weights is None else self.weights

    def _check_weights(self, weights: FloatArray) -> None:
        if weights.shape != self.labels.shape:
            raise DataError(f"weights have shape {weights.shape}, expected {self.labels.shape}")
        _check_finite(weights, "weights")
        if not weights.any():
            raise DataError(f"all {len(weights)} weights are zero; measure without weights (--weights null)")
        rows, totals, sizes = (
            np.bincount(self.labels, values, minlength=len(self.classes))
            for values in (weights != 0, weights, np.abs(weights))
        )
        bad = np.flatnonzero((sizes > 0) & (totals <= 0))
        if len(bad):
            name, total, number = self.classes[bad[0]], totals[bad[0]], int(rows[bad[0]])
            raise DataError(
                f"weights of class {name!r} sum to {total:.4g} over {number} rows: "
                "its fractions are not defined; take more rows, or measure without weights (--weights null)"
            )

    def index(self, name: str) -> int:
        """Return the index of a class by name."""
        if name not in self.classes:
            raise DataError(f"no class {name!r} among the predictions{did_you_mean(name, self.classes)}")
        return self.classes.index(name)

    def merged(self, name: str, parts: Sequence[str]) -> Predictions:
        """Return the same rows with several classes taken for one, whose probability is their sum.

        The rows, their order, weights and groups stay as they are: statistics of row weights of merged and of
        plain predictions can share their resamples.

        Parameters
        ----------
        name
            Name of the new class, the last one; none of the classes that are left.
        parts
            The classes that it replaces.

        Examples
        --------
        >>> p = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
        >>> both = Predictions(np.array([0, 2]), p, ("b", "c", "light")).merged("heavy", ("b", "c"))
        >>> both.classes, both.labels.tolist(), both.probabilities[0].tolist()
        (('light', 'heavy'), [1, 0], [0.25, 0.75])
        """
        replaced = {self.index(part) for part in parts}
        kept = [index for index in range(len(self.classes)) if index not in replaced]
        classes = (*(self.classes[index] for index in kept), name)
        if len(set(classes)) < len(classes):
            raise DataError(f"a merged class cannot be called {name!r}: there is another class of this name")
        new_index = np.full(len(self.classes), len(kept), np.int64)
        new_index[kept] = np.arange(len(kept))
        summed = self.probabilities[:, sorted(replaced)].sum(axis=1, keepdims=True)
        probabilities = np.concatenate([self.probabilities[:, kept], summed], axis=1)
        return Predictions(new_index[self.labels], probabilities, classes, self.weights, self.groups)

    def take(self, rows: IntArray) -> Predictions:
        """Return the given rows, by number or by a mask."""
        weights = None if self.weights is None else self.weights[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Predictions(self.labels[rows], self.probabilities[rows], self.classes, weights, groups)

    def rows_of(self, name: str) -> IntArray:
        """Return the row numbers of one true class; raise `DataError` when none has a weight."""
        rows = np.flatnonzero(self.labels == self.index(name))
        if len(rows) == 0:
            raise DataError(f"no row of class {name!r}; the metric needs at least one")
        if self.weights is not None and not self.weights[rows].any():
            raise DataError(
                f"all {len(rows)} rows of class {name!r} have weight 0; the metric needs some weight of "
                f"every class it compares"
            )
        return rows

    def log_ratio(self, signal: str, background: str) -> FloatArray:
        """Return ln(p_S / p_B) of every row, shape (n,).

        It orders rows exactly as the score p_S / (p_S + p_B) does, but does not saturate: float32
        probabilities round that score to 1 for the best signal rows, which would tie them.
        Probabilities that underflowed to 0 count as the smallest float32.
        """
        p_signal = self.probabilities[:, self.index(signal)]
        p_background = self.probabilities[:, self.index(background)]
        return np.log(np.maximum(p_signal, _SMALLEST)) - np.log(np.maximum(p_background, _SMALLEST))


def _check_finite(values: FloatArray, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise DataError(f"{what} of {len(bad)} rows are NaN or infinite, the first is row {bad[0]}")
