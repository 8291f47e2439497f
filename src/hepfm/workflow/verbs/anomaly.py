"""One search of an analysis of anomalies: a method, a number of signal events, a draw, a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.core.config import Component, Config, resolve_component, validate
from hepfm.core.errors import ConfigError
from hepfm.core.files import write_json
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.hunt import HuntConfig
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Verb
from hepfm.workflow.verbs.samples import SampleInfo, name_models, open_samples, plan_with_samples

if TYPE_CHECKING:
    from hepfm.methods.anomaly.base import AnomalyMethod
    from hepfm.methods.anomaly.events import Events

OUTCOME = "outcome.json"
"""File of a run with what it found."""


class AnomalyRunOptions(Config):
    """What determines the result of a run, beside its stores.

    Attributes
    ----------
    samples
        Rows of the store of each role.
    regions, features, method
        Windows, observables, and component spec of the method.
    signals, events
        Injected signal events, and background events of the data; all when None.
    draw
        Number of the draw of both.
    folds, efficiencies, least_background, hunt
        See `hepfm.analyses.anomaly.SearchConfig`.
    seed, sample_seed
        Of the trainings, and of the draws.
    """

    samples: dict[str, dict[str, Any]]
    regions: Regions
    features: tuple[str, ...]
    method: dict[str, Any]
    signals: int
    events: int | None
    draw: int
    folds: int
    efficiencies: tuple[float, ...]
    least_background: int
    hunt: HuntConfig
    seed: int
    sample_seed: int


class SearchOnce(Verb):
    """Search once."""

    @staticmethod
    def plan(samples: Mapping[str, SampleInfo], options: AnomalyRunOptions, *, note: str = "") -> Run:
        """Return the run of a search."""
        values = options.model_dump(mode="json")
        values["method"], models = _named(options.method)
        return plan_with_samples("anomaly", samples, values, note=note, models=models)

    def options(self, run: Run) -> AnomalyRunOptions:
        """Return the options of a run."""
        return validate(AnomalyRunOptions, run.values["options"], where="anomaly")

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse stores without field and features, and methods that cannot read them or lack a sample."""
        from hepfm.methods.anomaly.events import event_schema
        from hepfm.methods.observables import check_observables

        options = self.options(run)
        method = make_method(options.method, run)
        if method.reference and "reference" not in options.samples:
            raise ConfigError(
                f"method {options.method['name']!r} knows true background: name a sample of it (reference)"
            )
        for role, chosen in options.samples.items():
            store = graph.store(run, role)
            where, schema = f"the store {store.name!r}", event_schema(store.schema)
            check_observables(schema, (options.regions.field,), where=where)
            method.check(schema, options.features, where=where)
            if chosen.get("split") is not None:
                store.check_split(chosen["split"])

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows times that of the folds."""
        options = self.options(run)
        rows = options.events or sum(graph.store(run, "background").splits.values())
        return float(rows * options.folds)

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Draw the data, learn, and measure."""
        from hepfm.methods.anomaly.base import SearchProblem
        from hepfm.methods.anomaly.events import Events
        from hepfm.methods.anomaly.injection import inject
        from hepfm.methods.anomaly.outcome import outcome

        options = self.options(run)
        events = _windowed(workspace, run, options)
        drawn = inject(
            events["background"],
            events["signal"],
            count=options.signals,
            size=options.events,
            draw=options.draw,
            seed=options.sample_seed,
        )
        tests = [events["test_background"], events["test_signal"]]
        problem = SearchProblem(
            drawn.events,
            Events.joined(tests),
            options.regions,
            options.features,
            events.get("reference"),
            drawn.left,
        )
        scores = make_method(options.method, run).fit(problem, folds=options.folds, seed=options.seed)
        found = outcome(
            problem,
            scores,
            drawn.signal,
            np.repeat([False, True], [len(one) for one in tests]),
            efficiencies=options.efficiencies,
            least=options.least_background,
            config=options.hunt,
            seed=options.seed,
        )
        write_json(workspace.run(run.name).path / OUTCOME, found)
        pool = len(events["background"])
        return {**found["events"], "pool": pool, "test": found["test"]}


def _named(spec: Values) -> tuple[Values, dict[str, str]]:
    """Return the spec of a method with models named by what is in them, and where these lie."""
    from hepfm.workflow.existing_models import model_name

    named, paths = dict(spec), {}
    for option in ANOMALY_METHODS.load(spec["name"]).models:
        name, path = model_name(spec[option])
        named[option], paths[name] = name, path
    if "estimator" in spec:
        (named["estimator"],), found = name_models([spec["estimator"]])
        paths |= found
    return named, paths


def make_method(spec: Values, run: Run) -> AnomalyMethod[Any]:
    """Return the method of a run, with its models where they lie."""
    placed: Values = {option: run.paths[spec[option]] for option in ANOMALY_METHODS.load(spec["name"]).models}
    if "estimator" in spec:
        of = RATIO_ESTIMATORS.load(spec["estimator"]["name"]).models
        chosen = {one: run.paths[spec["estimator"][one]] for one in of if spec["estimator"].get(one)}
        placed["estimator"] = {**spec["estimator"], **chosen}
    spec = {**spec, **placed}
    component: Component = resolve_component(ANOMALY_METHODS, spec, where="method")
    method: AnomalyMethod[Any] = component.cls(component.config)
    return method


def _windowed(workspace: Workspace, run: Run, options: AnomalyRunOptions) -> dict[str, Events]:
    """Return the events of each role that lie in signal region and sidebands."""
    from hepfm.methods.anomaly.events import Events

    found = {}
    for role, sample in open_samples(workspace, run, options.samples).items():
        events = Events.of(sample, options.regions.field)
        if "signal" not in role:
            options.regions.check(events.mass, what=f"sample {role!r}")
        found[role] = events.take(options.regions.used(events.mass))
    return found
