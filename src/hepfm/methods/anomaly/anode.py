"""ANODE: the ratio of the density of data in the signal region to that of the sidebands (2001.04990)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.base import AnomalyMethod, Scorer, SearchProblem
from hepfm.methods.anomaly.events import Events, event_schema
from hepfm.methods.anomaly.maf import Maf, MafConfig, fit_maf
from hepfm.methods.observables import Values, check_observables
from hepfm.methods.ratio.base import Floats

_BEYOND = -1e3
"""ln of a density that is zero: beyond what the sidebands, or the data of the region, were seen to reach."""

Read = tuple[Values, Floats]
"""Features (R, F) and field (R,)."""


class AnodeConfig(Config):
    """Options of `Anode`.

    Attributes
    ----------
    density
        Of both densities.
    """

    density: MafConfig = pydantic.Field(default_factory=lambda: MafConfig.model_validate({}))


class Anode(AnomalyMethod[Read]):
    """Two densities of the features given the field; that of the sidebands is interpolated."""

    Config: ClassVar[type[Config]] = AnodeConfig
    config: AnodeConfig

    def check(self, schema: Schema, features: tuple[str, ...], *, where: str) -> None:
        """Refuse rows without the features; see `AnomalyMethod.check`."""
        check_observables(event_schema(schema), features, where=where)

    def read(self, events: Events, features: tuple[str, ...]) -> Read:
        """Return features and field."""
        return events.observables(features), events.mass

    def take(self, x: Read, places: Index) -> Read:
        """Return some of them."""
        return x[0][places], x[1][places]

    def prepare(self, problem: SearchProblem, x: Read, seed: int) -> Maf:
        """Learn the density of the sidebands."""
        beside = np.flatnonzero(problem.regions.beside(x[1]))
        return fit_maf(*self.take(x, beside), self.config.density, seed=seed)

    def learn(self, problem: SearchProblem, x: Read, prepared: Maf, seen: Index, seed: int) -> Scorer[Read]:
        """Learn the density of the region's data; see `AnomalyMethod.learn`."""
        inside = seen[problem.regions.inside(x[1][seen])]
        data = fit_maf(*self.take(x, inside), self.config.density, seed=seed)

        def scorer(rows: Read) -> Floats:
            first, second = (np.maximum(one.log_density(*rows), _BEYOND) for one in (data, prepared))
            return first - second

        return scorer
