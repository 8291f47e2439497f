"""CATHODE (2109.00546): the density of the sidebands gives background in the region, to tell data from."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError
from hepfm.core.rng import integer_seed
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.base import Scorer, SearchProblem
from hepfm.methods.anomaly.classifier import ByClassifier, ClassifierConfig, ones
from hepfm.methods.anomaly.events import Events, event_schema
from hepfm.methods.anomaly.maf import MafConfig, fit_maf
from hepfm.methods.anomaly.masses import Source, draw_masses
from hepfm.methods.observables import Values, check_observables
from hepfm.methods.ratio.base import TwoWeights
from hepfm.methods.ratio.on_observables import ObservablesConfig


class CathodeConfig(ClassifierConfig):
    """Options of `Cathode`, beside those of `ClassifierConfig`.

    Attributes
    ----------
    density
        Of the features in the sidebands, given the field.
    oversampling
        Samples for each event of data in the signal region.
    masses
        Where values of the field for samples come from; see `hepfm.methods.anomaly.masses.draw_masses`.
    bandwidth
        Of ``kde``, as part of the width of the signal region; 0.025 is 10 GeV in CATHODE's region.
    """

    density: MafConfig = pydantic.Field(default_factory=lambda: MafConfig.model_validate({}))
    oversampling: float = pydantic.Field(4.0, gt=0)
    masses: Source = "kde"
    bandwidth: float = pydantic.Field(0.025, gt=0)


class Cathode(ByClassifier[Values]):
    """Data of the signal region against samples of the interpolated density."""

    Config: ClassVar[type[Config]] = CathodeConfig
    config: CathodeConfig

    def check(self, schema: Schema, features: tuple[str, ...], *, where: str) -> None:
        """Refuse a classifier of anything but the features, which alone are sampled."""
        check_observables(event_schema(schema), features, where=where)
        config = self.config.estimator.config
        if not isinstance(config, ObservablesConfig) or config.observables not in ((), features):
            raise ConfigError(
                "cathode samples the features of the analysis: its estimator looks at these, and has no "
                f"observables of its own; estimator {self.config.estimator.name!r} reads others"
            )
        super().check(schema, features, where=where)

    def read(self, events: Events, features: tuple[str, ...]) -> Values:
        """Return the features."""
        self.estimator(features)
        return events.observables(features)

    def prepare(self, problem: SearchProblem, x: Values, seed: int) -> Values:
        """Learn the density of the sidebands and return samples in the signal region."""
        mass, regions = problem.data.mass, problem.regions
        beside = regions.beside(mass)
        density = fit_maf(x[beside], mass[beside], self.config.density, seed=seed)
        count = max(1, round(self.config.oversampling * int(regions.inside(mass).sum())))
        masses = draw_masses(
            mass, regions, count, self.config.masses, bandwidth=self.config.bandwidth, seed=seed
        )
        samples = density.sample(masses, seed=integer_seed(seed, "cathode.samples", bits=31))
        return samples[np.isfinite(samples).all(axis=1)]

    def learn(
        self, problem: SearchProblem, x: Values, prepared: Values, seen: Index, seed: int
    ) -> Scorer[Values]:
        """Train on the events that may be looked at; see `AnomalyMethod.learn`."""
        inside = seen[problem.regions.inside(problem.data.mass[seen])]
        weights = TwoWeights.stacked(ones(inside), ones(prepared))
        return self.ratio(x[inside], prepared, weights, seed)
