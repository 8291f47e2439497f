"""One reweighting of an analysis: a training, or a bootstrap replica."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hepfm.core.config import Config, validate
from hepfm.core.files import write_json
from hepfm.core.rng import integer_seed
from hepfm.data.learned_weights import FILE, LearnedWeights, WeightsInfo
from hepfm.methods.binning import Binning
from hepfm.methods.reweighting import ReweightOptions
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
    from hepfm.methods.reweighting import Reweighting
    from hepfm.workflow.estimate import Bench, Timing

CLOSURE = "closure.json"
"""File of a run with what shows whether it closes."""


class ReweightRunOptions(Config):
    """What determines the result of a run, beside its stores.

    Attributes
    ----------
    samples
        Rows of the store of each role: ``source`` and ``target``.
    binning
        Edges by observable.
    estimator
        Component spec of the density ratio.
    looked_at
        Observables that an estimator without any of its own looks at; others are held out.
    reweight
        Options of the reweighting.
    bootstrap
        Number of the bootstrap replica; None for the samples as they are.
    seed, sample_seed
        Of the trainings, and of bootstraps.
    """

    samples: dict[str, dict[str, Any]]
    binning: Binning
    estimator: dict[str, Any]
    looked_at: tuple[str, ...]
    reweight: ReweightOptions
    bootstrap: int | None = None
    seed: int
    sample_seed: int


class Reweight(Verb):
    """Learn the weights once."""

    @staticmethod
    def plan(samples: Mapping[str, SampleInfo], options: ReweightRunOptions, *, note: str = "") -> Run:
        """Return the run that weights the sample ``source`` to ``target``."""
        values = options.model_dump(mode="json")
        (values["estimator"],), models = name_models([options.estimator])
        return plan_with_samples("reweight", samples, values, note=note, models=models)

    def options(self, run: Run) -> ReweightRunOptions:
        """Return the options of a run."""
        return validate(ReweightRunOptions, run.values["options"], where="reweight")

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where the estimator asks for one."""
        return needs_of([self.options(run).estimator])

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse stores without the observables, and an estimator that cannot read their rows."""
        from hepfm.methods.observables import check_observables

        options = self.options(run)
        for role, chosen in options.samples.items():
            store = graph.store(run, role)
            check_observables(store.schema, tuple(options.binning), where=f"the store {store.name!r}")
            make_estimator(options.estimator, options.looked_at, run).check(store.schema)
            if chosen.get("split") is not None:
                store.check_split(chosen["split"])

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows that are trained on."""
        options = self.options(run)
        rows = sum(sum(graph.store(run, role).splits.values()) for role in options.samples)
        return float(rows * (options.reweight.folds - 1))

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the same run: of fewer rows, if its stores are simulated in small."""
        return run

    def measure(self, bench: Bench, run: Run) -> Timing:
        """Time one reweighting."""
        return timed(bench, run)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Learn, and keep weights and closure."""
        from hepfm.methods.reweighting import closure, drawn, reweight

        options, folder = self.options(run), workspace.run(run.name)
        samples = open_samples(workspace, run, options.samples)
        source, target = samples["source"], samples["target"]
        if options.bootstrap is not None:
            seed = integer_seed(options.sample_seed, "reweight.replica", options.bootstrap)
            source, target = drawn(source, target, seed)
        estimator = make_estimator(options.estimator, options.looked_at, run)
        result = reweight(
            source, target, estimator, options.reweight, binning=options.binning, seed=options.seed
        )
        write_json(folder.path / CLOSURE, closure(result, options.binning, seed=options.seed))
        _weights(result, options).write(folder.path / FILE)
        rows = len(source.rows) + len(target.rows)
        return {**result.facts, "steps": rows * (options.reweight.folds - 1)}


def _weights(result: Reweighting, options: ReweightRunOptions) -> LearnedWeights:
    from hepfm.methods.samples import events_of

    source = result.source
    info = WeightsInfo(
        method="reweight",
        store=source.source.fingerprint,
        observables=options.looked_at if "observables" in options.estimator else (),
        normalisation=f"sum of the weights of the {options.reweight.normalisation}",
        options=options.model_dump(mode="json"),
    )
    events = events_of(source) if source.schema.group else None
    return LearnedWeights(source.rows, result.weights, {}, info, events)
