"""``hepfm reweight``: one sample weighted to resemble another, with replicas, closure and a file of
weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic

from hepfm.analyses.analysis import Analysis, AnalysisConfig, AnalysisResult, analyse
from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.rng import integer_seed
from hepfm.methods.binning import Binning
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.reweighting import ReweightOptions
from hepfm.methods.samples import SampleConfig
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.reweight import Reweight, ReweightRunOptions

NOMINAL, BOOTSTRAP = "nominal", "bootstrap"


class ReweightReplicas(Config):
    """Section ``replicas``: what is repeated for which uncertainty.

    Attributes
    ----------
    trainings
        Reweightings that differ in the seeds of their trainings and in their folds; the result is their mean.
    bootstrap
        Reweightings of both samples drawn anew, event by event (Poisson bootstrap).
    """

    trainings: int = pydantic.Field(3, ge=1)
    bootstrap: int = pydantic.Field(20, ge=0)


class ReweightConfig(AnalysisConfig):
    """A recipe of ``hepfm reweight``.

    Attributes
    ----------
    source
        What is weighted.
    target
        What it is to resemble.
    observables
        Edges of bins by observable, in which both are compared.
    held_out
        Those of them that estimators do not look at: whether they close too is the harder test.
    estimator
        What learns the ratio, by component spec.
    reweight
        Folds, normalisation and cut.
    replicas
        Repetitions for the uncertainties.
    """

    source: SampleConfig
    target: SampleConfig
    observables: Binning
    held_out: tuple[str, ...] = ()
    estimator: Annotated[Component, ComponentOf(RATIO_ESTIMATORS, default="perceptron")] = pydantic.Field(
        "perceptron", validate_default=True
    )
    reweight: ReweightOptions = pydantic.Field(default_factory=lambda: ReweightOptions.model_validate({}))
    replicas: ReweightReplicas = pydantic.Field(default_factory=lambda: ReweightReplicas.model_validate({}))

    @pydantic.model_validator(mode="after")
    def _check(self) -> ReweightConfig:
        unknown = [name for name in self.held_out if name not in self.observables]
        if unknown:
            raise ValueError(f"held_out names {unknown[0]!r}, which is not among the observables")
        if not self.looked_at:
            raise ValueError("all observables are held out: nothing is left to look at")
        return self

    @property
    def samples(self) -> dict[str, SampleConfig]:
        """Source and target."""
        return {"source": self.source, "target": self.target}

    @property
    def looked_at(self) -> tuple[str, ...]:
        """Observables that are not held out."""
        return tuple(name for name in self.observables if name not in self.held_out)


class ReweightAnalysis(Analysis[ReweightConfig]):
    """Reweighting of a sample."""

    kind: ClassVar[str] = "reweight"
    Config: ClassVar[type[AnalysisConfig]] = ReweightConfig
    config: ReweightConfig

    def runs(self) -> dict[tuple[str, str], Run]:
        """Return the reweightings by kind and number."""
        replicas = self.config.replicas
        trained = {(NOMINAL, str(number)): self._run(number) for number in range(1, replicas.trainings + 1)}
        return trained | {
            (BOOTSTRAP, str(number)): self._run(1, number) for number in range(1, replicas.bootstrap + 1)
        }

    def _run(self, training: int, bootstrap: int | None = None) -> Run:
        config = self.config
        options = ReweightRunOptions(
            samples={
                role: one.model_dump(mode="json", exclude={"store"}) for role, one in config.samples.items()
            },
            binning=config.observables,
            estimator=config.estimator.spec(),
            looked_at=config.looked_at,
            reweight=config.reweight,
            bootstrap=bootstrap,
            seed=integer_seed(config.seed, "reweight.training", training, bits=31),
            sample_seed=config.seed,
        )
        return Reweight.plan(
            self.chosen(config.samples), options, note=NOMINAL if bootstrap is None else BOOTSTRAP
        )

    def report(
        self, workspace: Workspace, states: Mapping[str, State]
    ) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
        """Write page and weights; see `Analysis.report`."""
        from hepfm.analyses.reweight_report import write_report

        return write_report(self, workspace, states)


def reweight(
    recipe: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    cluster: str | None = None,
    report_only: bool = False,
) -> AnalysisResult:
    """Weight a sample to resemble another, and write a page and a file of weights.

    Parameters are those of `hepfm.analyses.unfold.unfold`; the recipe's values are those of `ReweightConfig`.

    Raises
    ------
    ConfigError
        With everything that cannot work, before anything runs.
    """
    return analyse(
        ReweightAnalysis.read(recipe, overrides),
        output=output,
        processes=processes,
        cluster=cluster,
        report_only=report_only,
    )
