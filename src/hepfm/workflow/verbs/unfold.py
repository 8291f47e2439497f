"""One unfolding of an analysis: the nominal one, or a replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepfm.core.config import Component, Config, resolve_component, validate
from hepfm.core.files import write_json
from hepfm.core.rng import integer_seed
from hepfm.methods.binning import Binning
from hepfm.methods.omnifold import OmniFoldConfig
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.ratio.on_observables import ObservablesConfig
from hepfm.methods.samples import SampleConfig
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.named_models import at_paths, by_contents
from hepfm.workflow.run import Run, Values
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Needs, Verb, store_path

if TYPE_CHECKING:
    from hepfm.data.learned_weights import LearnedWeights
    from hepfm.methods.ratio.base import RatioEstimator
    from hepfm.methods.unfolding import Problem, Unfolding

PROJECTIONS = "projections.json"
"""File of a run with its histograms."""
ITERATIONS = "iterations"
"""Folder of a run with its iterations."""
WEIGHTS = "weights.parquet"
"""File of a run with the weights of the simulated events at particle level."""
ROLES = ("data", "simulation", "background")
ESTIMATORS = ("detector_estimator", "particle_estimator")
"""Roles of the estimators, whose models are named by their contents."""


class UnfoldOptions(Config):
    """What determines the result of a run, beside its stores.

    Attributes
    ----------
    samples
        Rows of the store of each role.
    binning
        Edges by observable.
    estimators
        Component specs of the density ratios at detector and at particle level.
    omnifold
        Options of the iterations.
    test, stress
        A test in place of the data; see `hepfm.analyses.unfold.UnfoldConfig`.
    bootstrap
        Number of the bootstrap replica; None for the samples as they are.
    seed
        Of all trainings.
    sample_seed
        Of the halves of a test, and of bootstraps.
    """

    samples: dict[str, dict[str, Any]]
    binning: Binning
    estimators: tuple[dict[str, Any], dict[str, Any]]
    omnifold: OmniFoldConfig
    test: str | None = None
    stress: dict[str, Any] | None = None
    bootstrap: int | None = None
    seed: int
    sample_seed: int


@dataclass(frozen=True)
class SampleInfo:
    """A sample of an analysis before any run: which rows of which store."""

    config: SampleConfig
    store: StoreInfo


class Unfold(Verb):
    """Unfold once; iterations are kept, and a stopped run goes on behind the last of them."""

    @staticmethod
    def plan(samples: dict[str, SampleInfo], options: UnfoldOptions, *, note: str = "") -> Run:
        """Return the run that unfolds samples, by their roles."""
        values: Values = {"options": options.model_dump(mode="json"), "stores": {}}
        parents: dict[str, tuple[str, ...]] = {}
        paths: dict[str, str] = {}
        for place, role in enumerate(ESTIMATORS):
            spec = options.estimators[place]
            models = RATIO_ESTIMATORS.load(spec["name"]).models
            values["options"]["estimators"][place], of_models = by_contents(spec, models, role=role)
            paths |= of_models
        for role, sample in samples.items():
            source = sample.store.source
            values["stores"][role] = source.values.get("store", "")
            if "store" in source.parents:
                parents[role] = source.parents["store"]
            else:
                paths[role] = source.paths["store"]
        return Run("unfold", values, parents, paths, note)

    def options(self, run: Run) -> UnfoldOptions:
        """Return the options of a run, with the places of models."""
        named = run.values["options"]
        specs = zip(ESTIMATORS, named["estimators"], strict=True)
        placed = [at_paths(spec, run.paths, role=role) for role, spec in specs]
        return validate(UnfoldOptions, {**named, "estimators": placed}, where="unfold")

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where an estimator asks for one."""
        specs = run.values["options"]["estimators"]
        return Needs(gpus=int(any(spec.get("train", {}).get("device") == "cuda" for spec in specs)))

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse stores without two levels or observables, and estimators that cannot read their rows."""
        from hepfm.data.level_pairs import check_levels
        from hepfm.methods.observables import check_observables

        options = self.options(run)
        for role in options.samples:
            store = graph.store(run, role)
            where = f"the store {store.name!r}"
            if role != "background":
                check_levels(store.schema, where=where)
            check_observables(store.schema, tuple(options.binning), where=where)
            for estimator in self.estimators(options):
                estimator.check(store.schema)
            split = options.samples[role].get("split")
            if split is not None:
                store.check_split(split)

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows times that of the iterations."""
        options = self.options(run)
        rows = sum(sum(graph.store(run, role).splits.values()) for role in options.samples)
        return float(rows * options.omnifold.iterations)

    def estimators(self, options: UnfoldOptions) -> tuple[RatioEstimator[Any], RatioEstimator[Any]]:
        """Return what learns the ratio of each level."""
        first, second = (_estimator(spec, options.binning) for spec in options.estimators)
        return first, second

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Unfold, from the last iteration that is there."""
        from hepfm.methods.unfolding import projections, unfold

        options, folder = self.options(run), workspace.run(run.name)
        problem = self.problem(workspace, run)
        result = unfold(
            problem,
            self.estimators(options),
            options.omnifold,
            binning=options.binning,
            seed=options.seed,
            folder=folder.path / ITERATIONS,
        )
        write_json(folder.path / PROJECTIONS, projections(problem, result, options.binning))
        self._weights(problem, result, run).write(folder.path / WEIGHTS)
        return {
            "iterations": [dict(one.facts) for one in result.iterations],
            "diverged": result.diverged,
            "events": len(problem.pairs),
            "detected": int(problem.pairs.passes["detector"].sum()),
            "generated": int(problem.pairs.passes["particle"].sum()),
            "data": sum(len(part.rows) for part in problem.data),
        }

    def _weights(self, problem: Problem, result: Unfolding, run: Run) -> LearnedWeights:
        """Return the weights of the events at particle level."""
        from hepfm.data.learned_weights import LearnedWeights, WeightsInfo

        options = self.options(run)
        source, generated = problem.simulation.source, problem.pairs.passes["particle"]
        observables = [
            spec["observables"] or tuple(options.binning)
            for spec in options.estimators
            if "observables" in spec
        ]
        info = WeightsInfo(
            method="omnifold",
            store=source.fingerprint,
            level="particle",
            observables=tuple(dict.fromkeys(name for names in observables for name in names)),
            iterations=len(result.iterations),
            normalisation={
                "shape": "events of the data, corrected for acceptance and efficiency",
                "rate": "events that the simulation's weights expect, times the learned ratio",
            }[options.omnifold.normalisation],
            options=run.values["options"],  # without places
        )
        pairs = problem.pairs
        return LearnedWeights(
            pairs.rows["particle"], result.unfolded[generated], {}, info, pairs.event_id[generated]
        )

    def problem(self, workspace: Workspace, run: Run) -> Problem:
        """Return data and simulation of a run."""
        from hepfm.data.store import Store
        from hepfm.methods.samples import Sample
        from hepfm.methods.unfolding import Problem, Stress

        options = self.options(run)
        samples = {
            role: Sample.of(
                Store.open(store_path(workspace, run, role)),
                SampleConfig(store=role, **options.samples[role]),
            )
            for role in options.samples
        }
        if options.test is not None:
            stress = Stress(**options.stress) if options.test == "stress" and options.stress else None
            problem = Problem.tested(samples["simulation"], options.sample_seed, stress)
        else:
            problem = Problem.of(samples["data"], samples["simulation"])
            if "background" in samples:
                problem = problem.less(samples["background"])
        if options.bootstrap is not None:
            seed = integer_seed(options.sample_seed, "unfold.replica", options.bootstrap)
            problem = problem.replica(seed)
        return problem


def _estimator(spec: dict[str, Any], binning: Binning) -> RatioEstimator[Any]:
    """Return an estimator; one that looks at no observables of its own looks at those of the analysis."""
    component: Component = resolve_component(RATIO_ESTIMATORS, spec, where="estimator")
    config = component.config
    if isinstance(config, ObservablesConfig) and not config.observables:
        config = config.model_copy(update={"observables": tuple(binning)})
    estimator: RatioEstimator[Any] = component.cls(config)
    return estimator
