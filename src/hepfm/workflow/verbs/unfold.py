"""One unfolding of an analysis: the nominal one, or a replica."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hepfm.core.config import Config, validate
from hepfm.core.files import write_json
from hepfm.core.rng import integer_seed
from hepfm.data.learned_weights import FILE, LearnedWeights, WeightsInfo
from hepfm.methods.binning import Binning
from hepfm.methods.omnifold import OmniFoldConfig, check_start
from hepfm.methods.unfolding import Stress
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Needs, Verb
from hepfm.workflow.verbs.samples import (
    SampleInfo,
    make_estimator,
    name_models,
    needs_of,
    open_samples,
    plan_with_samples,
    timed,
)

if TYPE_CHECKING:
    from hepfm.methods.ratio.base import RatioEstimator
    from hepfm.methods.unfolding import Unfolding, UnfoldProblem
    from hepfm.workflow.estimate import Bench, Timing

PROJECTIONS = "projections.json"
"""File of a run with its histograms."""
ITERATIONS = "iterations"
"""Folder of a run with its iterations."""
ROLES = ("data", "simulation", "background")


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
    toy
        Which of how many toys of a test of coverage, from 1: a part of the events of each sample.
    bootstrap
        Number of the bootstrap replica; None for the samples as they are.
    seed
        Of all trainings.
    sample_seed
        Of the halves of a test, of toys and bootstraps.
    """

    samples: dict[str, dict[str, Any]]
    binning: Binning
    estimators: tuple[dict[str, Any], dict[str, Any]]
    omnifold: OmniFoldConfig
    test: str | None = None
    stress: Stress | None = None
    toy: tuple[int, int] | None = None
    bootstrap: int | None = None
    seed: int
    sample_seed: int


class Unfold(Verb):
    """Unfold once; iterations are kept, and a stopped run goes on behind the last of them."""

    @staticmethod
    def plan(samples: dict[str, SampleInfo], options: UnfoldOptions, *, note: str = "") -> Run:
        """Return the run that unfolds samples, by their roles."""
        values = options.model_dump(mode="json")
        values["estimators"], models = name_models(options.estimators)
        return plan_with_samples("unfold", samples, values, note=note, models=models)

    def options(self, run: Run) -> UnfoldOptions:
        """Return the options of a run."""
        return validate(UnfoldOptions, run.values["options"], where="unfold")

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where an estimator asks for one."""
        return needs_of(self.options(run).estimators)

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse stores without two levels or observables, and estimators that cannot read their rows."""
        from hepfm.data.level_pairs import check_levels
        from hepfm.methods.observables import check_observables

        options = self.options(run)
        check_start(self.estimators(run), options.omnifold)
        for role in options.samples:
            store = graph.store(run, role)
            where = f"the store {store.name!r}"
            if role != "background":
                check_levels(store.schema, where=where)
            check_observables(store.schema, tuple(options.binning), where=where)
            for estimator in self.estimators(run):
                estimator.check(store.schema)
            split = options.samples[role].get("split")
            if split is not None:
                store.check_split(split)

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows times that of the iterations."""
        options = self.options(run)
        rows = sum(sum(graph.store(run, role).splits.values()) for role in options.samples)
        toys = options.toy[1] if options.toy else 1
        return rows / toys * options.omnifold.iterations

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the same with one iteration."""
        options = {
            **run.values["options"],
            "omnifold": {**run.values["options"]["omnifold"], "iterations": 1},
        }
        return replace(run, values={**run.values, "options": options})

    def measure(self, bench: Bench, run: Run) -> Timing:
        """Time one iteration."""
        return timed(bench, run)

    def estimators(self, run: Run) -> tuple[RatioEstimator[Any], RatioEstimator[Any]]:
        """Return what learns the ratio of each level."""
        options = self.options(run)
        first, second = (make_estimator(spec, tuple(options.binning), run) for spec in options.estimators)
        return first, second

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Unfold, from the last iteration that is there."""
        from hepfm.methods.unfolding import projections, unfold

        options, folder = self.options(run), workspace.run(run.name)
        problem = self.problem(workspace, run)
        result = unfold(
            problem,
            self.estimators(run),
            options.omnifold,
            binning=options.binning,
            seed=options.seed,
            folder=folder.path / ITERATIONS,
        )
        write_json(folder.path / PROJECTIONS, projections(problem, result, options.binning))
        self._weights(problem, result, options).write(folder.path / FILE)
        rows = len(problem.simulation.rows) + sum(len(part.rows) for part in problem.data)
        return {
            "steps": rows * len(result.iterations),
            "iterations": [dict(one.facts) for one in result.iterations],
            "diverged": result.diverged,
            "events": len(problem.pairs),
            "detected": int(problem.pairs.passes["detector"].sum()),
            "generated": int(problem.pairs.passes["particle"].sum()),
            "data": sum(len(part.rows) for part in problem.data),
        }

    def _weights(self, problem: UnfoldProblem, result: Unfolding, options: UnfoldOptions) -> LearnedWeights:
        """Return the weights of the events at particle level."""
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
            options=options.model_dump(mode="json"),
        )
        pairs = problem.pairs
        return LearnedWeights(
            pairs.rows["particle"], result.unfolded[generated], {}, info, pairs.event_id[generated]
        )

    def problem(self, workspace: Workspace, run: Run) -> UnfoldProblem:
        """Return data and simulation of a run."""
        from hepfm.methods.samples import part_of_toys
        from hepfm.methods.unfolding import UnfoldProblem

        options = self.options(run)
        samples = open_samples(workspace, run, options.samples)
        if options.toy is not None:
            toy, toys = options.toy
            samples = {
                role: part_of_toys(one, toy - 1, toys, options.sample_seed, f"unfold.toys.{role}")
                for role, one in samples.items()
            }
        if options.test in ("closure", "stress"):
            problem = UnfoldProblem.tested(samples["simulation"], options.sample_seed, options.stress)
        else:
            problem = UnfoldProblem.of(samples["data"], samples["simulation"])
            if "background" in samples:
                problem = problem.less(samples["background"])
        if options.bootstrap is not None:
            seed = integer_seed(options.sample_seed, "unfold.replica", options.bootstrap)
            problem = problem.replica(seed)
        return problem
