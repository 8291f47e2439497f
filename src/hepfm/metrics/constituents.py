"""Classes of constituents: metrics whose uncertainty is that of other jets.

The constituents of a jet share its decays, its detector and its model's view: they are not independent. All
metrics here are functions of the weights of jets, each of which all constituents of the jet have, so that a
bootstrap draws whole jets (clusters) and its interval is as wide as the number of jets makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Ragged
from hepfm.metrics.accuracy import accuracy_statistic
from hepfm.metrics.bootstrap import Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.merged_classes import one_vs_rest_auc_statistic
from hepfm.metrics.per_class import efficiency_statistic
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions


@dataclass(frozen=True)
class ConstituentPredictions:
    """What a classifier says of the constituents of jets whose classes are known.

    Attributes
    ----------
    labels
        True class of each constituent as an index into `classes`, lists by jet.
    probabilities
        Class probabilities, (n, K), in the same lists.
    classes
        Names of the K classes.
    weights
        Weight of each jet; None for equal ones.
    groups
        Number of the group of each jet: jets of one group are resampled together. None for independent jets.
    """

    labels: Ragged
    probabilities: Ragged
    classes: tuple[str, ...]
    weights: FloatArray | None = None
    groups: IntArray | None = None

    @property
    def row_weights(self) -> FloatArray:
        """Weights of the jets with the default filled in."""
        return np.ones(len(self.labels)) if self.weights is None else self.weights

    @property
    def flat(self) -> Predictions:
        """The same constituents in one table, each with the weight of its jet."""
        weights = None if self.weights is None else self.weights[self.labels.row_index()]
        labels = self.labels.values.astype(np.int64)
        return Predictions(labels, self.probabilities.values.astype(np.float64), self.classes, weights)

    def of_jets(self, statistic: Statistic) -> Statistic:
        """Return a function of weights of constituents as one of weights of jets."""
        row = self.labels.row_index()
        return lambda weights: statistic(weights[row])


OfConstituents = Callable[[ConstituentPredictions], Statistic]


def constituent_accuracy(predictions: ConstituentPredictions) -> Statistic:
    """Return the fraction of constituents whose most probable class is the true one."""
    return predictions.of_jets(accuracy_statistic(predictions.flat))


def balanced_accuracy(predictions: ConstituentPredictions) -> Statistic:
    """Return the mean efficiency of the classes that occur, each class alike: the mean of their recalls."""
    flat = predictions.flat
    efficiencies = [efficiency_statistic(flat, name=name) for name in flat.classes]

    def statistic(weights: FloatArray) -> float:
        values = np.array([efficiency(weights) for efficiency in efficiencies])
        there = np.isfinite(values)
        return float(values[there].mean()) if there.any() else float("nan")

    return predictions.of_jets(statistic)


def constituent_auc(predictions: ConstituentPredictions, *, name: str) -> Statistic:
    """Return the area of one class against the other constituents; undefined (NaN) without either."""
    is_class = predictions.labels.values == predictions.classes.index(name)
    if is_class.all() or not is_class.any():
        return lambda _: float("nan")
    return predictions.of_jets(one_vs_rest_auc_statistic(predictions.flat, signal=name))


def measured_on_jets(
    statistic: Statistic, predictions: ConstituentPredictions, *, definition: str
) -> Measurement:
    """Return the value with the interval of a bootstrap over jets; `Measurement.n` counts jets."""
    return bootstrap_measurement(
        statistic, predictions.row_weights, definition=definition, groups=predictions.groups
    )
