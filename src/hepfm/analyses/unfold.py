"""``hepfm unfold``: data unfolded by OmniFold, with replicas, tests and a file of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import pydantic

from hepfm.analyses.analysis import Analysis, AnalysisConfig, AnalysisResult, analyse
from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.rng import integer_seed
from hepfm.methods.binning import Binning
from hepfm.methods.omnifold import OmniFoldConfig
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.samples import SampleConfig
from hepfm.methods.unfolding import Stress, Test
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.unfold import Unfold, UnfoldOptions

NOMINAL, BOOTSTRAP, SYSTEMATIC = "nominal", "bootstrap", "systematic"
FEWEST = 3
"""Bootstrap replicas below which nothing is said of an uncertainty."""


class Replicas(Config):
    """Section ``replicas``: what is repeated for which uncertainty.

    Attributes
    ----------
    trainings
        Unfoldings that differ in the seeds of their trainings; the result is their mean.
    bootstrap
        Unfoldings of data and simulation drawn anew, event by event (Poisson bootstrap), for the statistical
        uncertainty of both.
    systematics
        Other simulations to unfold with, by name; the change of the result is that uncertainty.
    """

    trainings: int = pydantic.Field(3, ge=1)
    bootstrap: int = pydantic.Field(20, ge=0)
    systematics: dict[str, SampleConfig] = pydantic.Field(default_factory=dict)


class UnfoldConfig(AnalysisConfig):
    """A recipe of ``hepfm unfold``.

    Attributes
    ----------
    data
        What is unfolded: rows at detector level. Their particle level, where they have one, is taken as the
        truth to compare with.
    simulation
        Events at both levels.
    background
        Simulated background, which is subtracted from the data; weights are expected numbers of events.
    observables
        Edges of bins by observable, in which the result is projected; estimators that look at observables
        look at these.
    estimator
        What learns the ratios, by component spec.
    particle_estimator
        The same at particle level, where it is another one.
    omnifold
        Options of the iterations.
    replicas
        Repetitions for the uncertainties.
    test
        ``closure`` unfolds one half of the simulation with the other; ``stress`` does so after one observable
        of the first half was changed. The data are then not looked at. ``coverage`` cuts data of known truth
        and simulation into toys and unfolds each with all its replicas: how often do intervals cover the
        truth?
    stress
        What is changed; the first observable when null.
    toys
        Of a test of coverage.
    """

    data: SampleConfig
    simulation: SampleConfig
    background: SampleConfig | None = None
    observables: Binning
    estimator: Annotated[Component, ComponentOf(RATIO_ESTIMATORS, default="perceptron")] = pydantic.Field(
        "perceptron", validate_default=True
    )
    particle_estimator: Annotated[Component, ComponentOf(RATIO_ESTIMATORS, default="perceptron")] | None = (
        None
    )
    omnifold: OmniFoldConfig = pydantic.Field(default_factory=lambda: OmniFoldConfig.model_validate({}))
    replicas: Replicas = pydantic.Field(default_factory=lambda: Replicas.model_validate({}))
    test: Test | None = None
    stress: Stress | None = None
    toys: int = pydantic.Field(50, ge=2)

    @pydantic.model_validator(mode="after")
    def _check_toys(self) -> Self:
        if self.test != "coverage":
            return self
        if self.replicas.bootstrap < FEWEST:
            raise ValueError(
                f"a test of coverage needs at least {FEWEST} bootstrap replicas of each toy for its "
                f"uncertainties, got replicas.bootstrap={self.replicas.bootstrap}"
            )
        if self.data == self.simulation:
            raise ValueError(
                "data and simulation are the same events: toys of both would share some; give them other "
                "stores or splits"
            )
        return self

    @property
    def samples(self) -> dict[str, SampleConfig]:
        """All samples by what they are."""
        found = {"data": self.data, "simulation": self.simulation, **self.replicas.systematics}
        return found | ({"background": self.background} if self.background else {})


class UnfoldAnalysis(Analysis[UnfoldConfig]):
    """Unfolding of data."""

    kind: ClassVar[str] = "unfold"
    Config: ClassVar[type[AnalysisConfig]] = UnfoldConfig
    config: UnfoldConfig

    def runs(self) -> dict[tuple[str, str], Run]:
        """Return the unfoldings by kind and name."""
        if self.config.test != "coverage":
            return self._replicas()
        return {
            (kind, f"toy {toy}, {name}"): run
            for toy, runs in self.toys().items()
            for (kind, name), run in runs.items()
        }

    def toys(self) -> dict[int, dict[tuple[str, str], Run]]:
        """Return the unfoldings of each toy, from 1, by kind and name."""
        return {toy: self._replicas(toy) for toy in range(1, self.config.toys + 1)}

    def _replicas(self, toy: int | None = None) -> dict[tuple[str, str], Run]:
        replicas = self.config.replicas
        found = {
            (NOMINAL, str(number)): self._run(training=number, toy=toy)
            for number in range(1, replicas.trainings + 1)
        }
        found |= {
            (BOOTSTRAP, str(number)): self._run(training=1, bootstrap=number, toy=toy)
            for number in range(1, replicas.bootstrap + 1)
        }
        if self.config.test is not None:
            return found  # data and simulation of a test are given: nothing is asked of another simulation
        return found | {
            (SYSTEMATIC, name): self._run(training=1, simulation=sample, name=name)
            for name, sample in replicas.systematics.items()
        }

    def _run(
        self,
        *,
        training: int,
        bootstrap: int | None = None,
        simulation: SampleConfig | None = None,
        name: str = "",
        toy: int | None = None,
    ) -> Run:
        config = self.config
        chosen = {"simulation": simulation or config.simulation}
        if config.test in (None, "coverage"):
            chosen["data"] = config.data
            if config.background is not None:
                chosen["background"] = config.background
        stress = config.stress or Stress(observable=next(iter(config.observables)), strength=0.5)
        options = UnfoldOptions(
            samples={role: one.model_dump(mode="json", exclude={"store"}) for role, one in chosen.items()},
            binning=config.observables,
            estimators=(
                config.estimator.spec(),
                (config.particle_estimator or config.estimator).spec(),
            ),
            omnifold=config.omnifold,
            test=config.test,
            stress=stress if config.test == "stress" else None,
            toy=None if toy is None else (toy, config.toys),
            bootstrap=bootstrap,
            seed=integer_seed(config.seed, "unfold.training", training, toy or 0, bits=31),
            sample_seed=config.seed,
        )
        note = NOMINAL
        if bootstrap is not None:
            note = BOOTSTRAP
        elif simulation is not None:
            note = f"{SYSTEMATIC} {name}"
        return Unfold.plan(self.chosen(chosen), options, note=note)

    def report(
        self, workspace: Workspace, states: Mapping[str, State]
    ) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
        """Write page and weights; see `Analysis.report`."""
        if self.config.test == "coverage":
            from hepfm.analyses.coverage_report import write_report
        else:
            from hepfm.analyses.unfold_report import write_report
        return write_report(self, workspace, states)


def unfold(
    recipe: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    cluster: str | None = None,
    report_only: bool = False,
) -> AnalysisResult:
    """Unfold data and write a page and a file of weights.

    Parameters
    ----------
    recipe
        Name of a built-in recipe, path of a YAML file, or its values (`UnfoldConfig`).
    output
        The directory of the analysis. What is finished there is not done again.
    overrides
        ``key=value`` settings laid over the recipe.
    processes
        Runs at the same time, one thread each; all processors when not given. With a cluster: its workers.
    cluster
        Batch system whose workers do the runs, ``"slurm"`` or ``"htcondor"``.
    report_only
        Do no run: report what is finished.

    Raises
    ------
    ConfigError
        With everything that cannot work, before anything runs.
    """
    return analyse(
        UnfoldAnalysis.read(recipe, overrides),
        output=output,
        processes=processes,
        cluster=cluster,
        report_only=report_only,
    )
