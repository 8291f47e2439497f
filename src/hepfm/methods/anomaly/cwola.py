"""CWoLa: a classifier learns to tell the signal region from the sidebands (1805.02664)."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.base import Scorer, SearchProblem
from hepfm.methods.anomaly.classifier import ByClassifier, ClassifierConfig, ones
from hepfm.methods.ratio.base import TwoWeights

X = TypeVar("X")


class CwolaConfig(ClassifierConfig):
    """Options of `Cwola`, beside those of `ClassifierConfig`.

    Attributes
    ----------
    reach
        Furthest distance from the signal region of the events that it is told from, in the unit of the field:
        features that follow the field tell a wide sideband from the region without any signal. None for
        whole sidebands; 200 GeV in CATHODE's public code (2109.00546).
    """

    reach: float | None = pydantic.Field(None, gt=0)


class Cwola(ByClassifier[X], Generic[X]):
    """Signal region against sidebands."""

    Config: ClassVar[type[Config]] = CwolaConfig
    config: CwolaConfig

    def learn(self, problem: SearchProblem, x: X, prepared: Any, seen: Index, seed: int) -> Scorer[X]:
        """Train on the events that may be looked at; see `AnomalyMethod.learn`."""
        mass = problem.data.mass[seen]
        inside = seen[problem.regions.inside(mass)]
        beside = seen[problem.regions.beside(mass, self.config.reach)]
        if not len(beside):
            raise DataError(f"no sideband event within reach {self.config.reach:g} of the signal region")
        weights = TwoWeights.stacked(ones(inside), ones(beside))
        return self.ratio(self.take(x, inside), self.take(x, beside), weights, seed)
