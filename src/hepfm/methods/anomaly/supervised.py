"""The upper bound: a classifier of true signal against true background, for the one signal it was shown."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.base import Scorer, SearchProblem
from hepfm.methods.anomaly.classifier import ByClassifier, ClassifierConfig
from hepfm.methods.ratio.base import TwoWeights

X = TypeVar("X")


class SupervisedReferenceConfig(ClassifierConfig):
    """Options of `SupervisedReference`: those of `ClassifierConfig`."""


class SupervisedReference(ByClassifier[X], Generic[X]):
    """Signal that is not in the data against background that is known as such, both of the signal region."""

    Config: ClassVar[type[Config]] = SupervisedReferenceConfig
    folded = False
    reference = True
    signal = True
    config: SupervisedReferenceConfig

    def learn(self, problem: SearchProblem, x: X, prepared: Any, seen: Index, seed: int) -> Scorer[X]:
        """Train on labelled events; see `AnomalyMethod.learn`."""
        assert problem.reference is not None  # both are checked in `fit`
        assert problem.signal is not None
        first, second = (
            one.take(problem.regions.inside(one.mass)) for one in (problem.signal, problem.reference)
        )
        if not len(first):
            raise DataError("no signal event of the signal region is left to train the supervised reference")
        weights = TwoWeights.stacked(first.weights, second.weights)
        signal, background = (self.read(one, problem.features) for one in (first, second))
        return self.ratio(signal, background, weights, seed)
