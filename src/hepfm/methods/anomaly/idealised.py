"""The best that a search without labels can do: a classifier of data against true background."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from hepfm.core.config import Config
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.base import Scorer, SearchProblem
from hepfm.methods.anomaly.classifier import ByClassifier, ClassifierConfig, ones
from hepfm.methods.ratio.base import Floats, TwoWeights

X = TypeVar("X")


class IdealisedConfig(ClassifierConfig):
    """Options of `Idealised`: those of `ClassifierConfig`."""


class Idealised(ByClassifier[X], Generic[X]):
    """Data of the signal region against background that is known as such; a reference, no method."""

    Config: ClassVar[type[Config]] = IdealisedConfig
    reference = True
    config: IdealisedConfig

    def prepare(self, problem: SearchProblem, x: X, seed: int) -> tuple[X, Floats]:
        """Read the true background of the signal region."""
        assert problem.reference is not None  # checked in `fit`
        known = problem.reference.take(problem.regions.inside(problem.reference.mass))
        return self.read(known, problem.features), known.weights

    def learn(self, problem: SearchProblem, x: X, prepared: Any, seen: Index, seed: int) -> Scorer[X]:
        """Train on the events that may be looked at; see `AnomalyMethod.learn`."""
        known, known_weights = prepared
        inside = seen[problem.regions.inside(problem.data.mass[seen])]
        weights = TwoWeights.stacked(ones(inside), known_weights)
        return self.ratio(self.take(x, inside), known, weights, seed)
