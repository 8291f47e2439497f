"""What methods share that train a classifier: any estimator of density ratios."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import pydantic

from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.rng import integer_seed
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.base import AnomalyMethod, Scorer, Sizes
from hepfm.methods.anomaly.events import Events, event_schema
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.ratio.base import Floats, RatioEstimator, TwoWeights
from hepfm.methods.ratio.on_observables import ObservablesConfig

X = TypeVar("X")

PUBLISHED = {
    "name": "perceptron",
    "hidden": [64, 64, 64],
    "activation": "relu",
    "epochs": 100,
    "batch_size": 128,
    "learning_rate": 1e-3,
}
"""Classifier of CATHODE's public code (2109.00546): layers, Adam, batch size and epochs."""


class ClassifierConfig(Config):
    """What options of such a method begin with.

    Attributes
    ----------
    estimator
        The classifier, by component spec; CATHODE's when it is not given.
    ensemble
        Classifiers with other seeds whose scores are averaged.
    """

    estimator: Annotated[Component, ComponentOf(RATIO_ESTIMATORS, default="perceptron")] = pydantic.Field(
        PUBLISHED,
        validate_default=True,
    )
    ensemble: int = pydantic.Field(1, ge=1)


class ByClassifier(AnomalyMethod[X], Generic[X]):
    """Scores events by the ln of a learned density ratio."""

    config: ClassifierConfig

    def estimator(self, features: tuple[str, ...]) -> RatioEstimator[X]:
        """Return the classifier; one without observables of its own looks at those of the analysis."""
        component = self.config.estimator
        config = component.config
        if isinstance(config, ObservablesConfig) and not config.observables:
            config = config.model_copy(update={"observables": features})
        made: RatioEstimator[X] = component.cls(config)
        self._made = made
        return made

    def check(self, schema: Schema, features: tuple[str, ...], *, where: str) -> None:
        """Refuse rows that the classifier cannot read; see `AnomalyMethod.check`."""
        estimator = self.estimator(features)
        estimator.check(schema if estimator.of_parts else event_schema(schema))

    def read(self, events: Events, features: tuple[str, ...]) -> X:
        """Return what the classifier reads."""
        return events.read(self.estimator(features))

    def take(self, x: X, places: Index) -> X:
        """Return some of it."""
        return self._made.take(x, places)

    def work(self, sizes: Sizes) -> float:
        """Return the work of all classifiers; see `AnomalyMethod.work`."""
        component, folds = self.config.estimator, sizes.folds if self.folded else 1
        estimator: RatioEstimator[X] = component.cls(component.config)
        rows = sizes.parts if estimator.of_parts else 1
        seen = (sizes.seen if self.folded else 0) + sizes.known
        one = estimator.work(rows * seen, scored=rows * (sizes.data // folds + sizes.test))
        return self.config.ensemble * folds * one

    def ratio(self, first: X, second: X, weights: TwoWeights, seed: int) -> Scorer[X]:
        """Learn the ratio of two samples, of the first to the second."""
        x = self._made.join([first, second])
        ratios = [
            self._made.fit(x, weights, seed=integer_seed(seed, "anomaly.ensemble", number, bits=31))
            for number in range(self.config.ensemble)
        ]

        def scorer(rows: X) -> Floats:
            return np.asarray(np.mean([ratio.log_ratio(rows) for ratio in ratios], axis=0))

        return scorer


def ones(places: Index | Any) -> Floats:
    """Return the weight of data events."""
    return np.ones(len(places))
