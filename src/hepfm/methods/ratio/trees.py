"""Boosted trees on observables of the rows, by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.methods.observables import Values
from hepfm.methods.ratio.base import Floats, Ratio, TwoWeights
from hepfm.methods.ratio.on_observables import ObservablesConfig, OnObservables

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


class TreesConfig(ObservablesConfig):
    """Options of `Trees`, which are scikit-learn's of `HistGradientBoostingClassifier`.

    Attributes
    ----------
    max_iter, learning_rate, max_leaf_nodes, min_samples_leaf, l2_regularization
        Of the trees.
    patience
        Trees without a better validation loss after which no more are added.
    validation_fraction
        Part of the rows that is set aside for that.
    """

    max_iter: pydantic.PositiveInt = 200
    learning_rate: float = pydantic.Field(0.1, gt=0)
    max_leaf_nodes: int = pydantic.Field(31, ge=2)
    min_samples_leaf: pydantic.PositiveInt = 20
    l2_regularization: float = pydantic.Field(0.0, ge=0)
    patience: pydantic.PositiveInt = 10
    validation_fraction: float = pydantic.Field(0.2, gt=0, lt=1)


BINS = 255
"""Most bins of an observable that scikit-learn's trees tell apart."""


@dataclass(frozen=True)
class Binning:
    """Bins of observables of about equal numbers of rows.

    Trees are given numbers of bins: of other values scikit-learn would take quantiles with weights, one by
    one, which takes several times as long as the trees.
    """

    edges: Sequence[npt.NDArray[np.float32]]

    @classmethod
    def of(cls, x: Values) -> Binning:
        """Return the bins of rows (R, F)."""
        quantiles = np.quantile(x, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)
        return cls([np.unique(column).astype(np.float32) for column in quantiles.T])

    def __call__(self, x: Values) -> Values:
        """Return the bin of each value, float32 (R, F); an edge belongs to the bin below it."""
        columns = [np.searchsorted(edges, column) for edges, column in zip(self.edges, x.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class TreesRatio(Ratio[Values]):
    """Fitted trees."""

    binning: Binning
    trees: HistGradientBoostingClassifier
    facts: Mapping[str, Any] = field(default_factory=dict)

    def log_ratio(self, x: Values) -> Floats:
        """Return the sum of the trees of each row; see `Ratio.log_ratio`."""
        return np.asarray(self.trees.decision_function(self.binning(x)), np.float64)


class Trees(OnObservables):
    """Gradient-boosted trees; weights may not be negative."""

    Config: ClassVar[type[Config]] = TreesConfig
    config: TreesConfig

    def fit(
        self, x: Values, weights: TwoWeights, *, seed: int, start: Ratio[Values] | None = None
    ) -> TreesRatio:
        """Fit trees anew; see `RatioEstimator.fit`."""
        # Late: its import draws random numbers of the process, and takes seconds.
        from sklearn.ensemble import HistGradientBoostingClassifier

        sides = weights.balanced()
        if min(side.min() for side in sides) < 0:
            raise DataError("boosted trees take no negative weights; use the estimator perceptron")
        # A row of both samples stands twice, in the same part: else validation would have seen it.
        rows = numpy_generator(seed, "ratio.validation").permutation(len(x))
        count = max(1, round(self.config.validation_fraction * len(x)))
        binning = Binning.of(x[rows[count:]])
        binned = binning(x)
        validation, training = (
            (_both(binned[part], *(side[part] for side in sides))) for part in (rows[:count], rows[count:])
        )
        config = self.config
        trees = HistGradientBoostingClassifier(
            max_iter=config.max_iter,
            learning_rate=config.learning_rate,
            max_leaf_nodes=config.max_leaf_nodes,
            min_samples_leaf=config.min_samples_leaf,
            l2_regularization=config.l2_regularization,
            early_stopping=True,
            n_iter_no_change=config.patience,
            random_state=integer_seed(seed, "ratio.trees", bits=32),
        )
        (xv, yv, wv), (xt, yt, wt) = validation, training
        trees.fit(xt, yt, sample_weight=wt, X_val=xv, y_val=yv, sample_weight_val=wv)
        losses = [-float(score) for score in trees.validation_score_]
        return TreesRatio(
            binning,
            trees,
            {"trees": int(trees.n_iter_), "validation_loss": min(losses), "validation_losses": losses},
        )


def _both(x: Values, numerator: Floats, denominator: Floats) -> tuple[Values, npt.NDArray[np.int64], Floats]:
    """Return rows with a class and a weight; those that are in both samples stand twice."""
    first, second = np.flatnonzero(numerator), np.flatnonzero(denominator)
    classes = np.repeat([1, 0], [len(first), len(second)])
    return (
        np.concatenate([x[first], x[second]]),
        classes,
        np.concatenate([numerator[first], denominator[second]]),
    )
