"""One search of an analysis of anomalies: a method, a number of signal events, a draw, a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.core.config import Component, Config, merge, resolve_component, validate
from hepfm.core.errors import ConfigError
from hepfm.core.files import write_json
from hepfm.core.rng import numpy_generator
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.hunt import HuntConfig
from hepfm.methods.anomaly.regions import Mask, Regions
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import Needs, Verb
from hepfm.workflow.verbs.samples import SampleInfo, name_models, open_samples, plan_with_samples

if TYPE_CHECKING:
    from hepfm.methods.anomaly.base import AnomalyMethod, Scores, SearchProblem
    from hepfm.methods.anomaly.events import Events
    from hepfm.workflow.estimate import Bench, Timing
    from hepfm.workflow.stores import StoreInfo

OUTCOME = "outcome.json"
"""File of a run with what it found."""
TESTS = ("test_background", "test_signal")
"""Samples that are only scored."""
_TIMED = (500, 2000)
"""Events of each sample of the two searches that are timed before any is done."""
_ROWS_OF_A_STEP = 50
"""Of these events for each step of a network."""


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
    timed
        Events that are drawn of each sample with repetition, of a search that is only timed; None takes all
        as they are.
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
    timed: int | None = None
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

    def needs(self, run: Run, *, cores: int) -> Needs:
        """Return one core, and a GPU where a network of the method asks for one."""
        spec = run.values["options"]["method"]
        parts = [spec, spec.get("density", {}), spec.get("estimator", {}).get("train", {})]
        return Needs(gpus=int(any(part.get("device") == "cuda" for part in parts)))

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse stores without field and features, and methods that cannot read them or lack a sample."""
        from hepfm.methods.anomaly.events import event_schema
        from hepfm.methods.observables import check_observables

        options = self.options(run)
        method, name = make_method(options.method, run), options.method["name"]
        for needed, role, what in (
            (method.reference, "reference", "background"),
            (method.signal, "signal", "signal"),
        ):
            if needed and role not in options.samples:
                raise ConfigError(f"method {name!r} knows true {what}: name a sample of it ({role})")
        for role, chosen in options.samples.items():
            store = graph.store(run, role)
            where = f"the store {store.name!r}"
            check_observables(event_schema(store.schema), (options.regions.field,), where=where)
            method.check(store.schema, options.features, where=where)
            if chosen.get("split") is not None:
                store.check_split(chosen["split"])

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return what the time of the search grows with, if all events are in the windows."""
        from hepfm.methods.anomaly.base import Sizes
        from hepfm.methods.anomaly.events import holds_pairs

        options = self.options(run)
        method = make_method(options.method, run)

        def events(*roles: str) -> int:
            return sum(_events(graph.store(run, role), options.samples[role].get("split")) for role in roles)

        here = set(options.samples)
        sizes = Sizes(
            (options.events or events(_data_role(options))) + options.signals,
            events(*(here & set(known_roles(method)))),
            events(*(here & set(TESTS))),
            2 if holds_pairs(graph.store(run, _data_role(options)).schema) else 1,
            options.folds,
        )
        return method.work(sizes)

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the same of so many events of each sample, drawn with repetition where there are fewer, in
        two folds, with few steps of a network and cuts that leave enough to fit."""
        options = dict(run.values["options"])
        options |= {"events": None, "timed": rows, "signals": min(options["signals"], rows // 10), "folds": 2}
        options["efficiencies"] = [0.9 - 0.01 * number for number in range(len(options["efficiencies"]))]
        if train := options["method"].get("estimator", {}).get("train"):
            few = {key: min(rows // _ROWS_OF_A_STEP, train[key]) for key in ("steps", "validate_every")}
            options["method"] = merge(options["method"], {"estimator": {"train": few}})
        return replace(run, values={**run.values, "options": options})

    def measure(self, bench: Bench, run: Run) -> Timing:
        """Time searches of few events: what learns and scores grows with the search, the rest does not."""
        small, large = (bench.placed(self.small(run, rows=rows)) for rows in _TIMED)
        timing: Timing = bench.call(self.time, bench.scratch, small, large)
        return timing

    def time(self, workspace: Workspace, small: Run, large: Run) -> Timing:
        """Return how long a search takes, from two of different size."""
        from hepfm.workflow.child import peak_memory
        from hepfm.workflow.estimate import Timing

        self.search(workspace, small)  # what is imported and compiled is paid once
        start = time.perf_counter()
        less, more = (self.search(workspace, one)[2] for one in (small, large))
        once = time.perf_counter() - start - less.seconds - more.seconds
        unit = max(more.seconds - less.seconds, 0.0) / (more.work - less.work)
        return Timing(unit, once / 2 + max(more.seconds - unit * more.work, 0.0), peak_memory())

    def search(self, workspace: Workspace, run: Run) -> tuple[Values, SearchProblem, Learned]:
        """Search once, and return what was found, in what, and how it was learned."""
        from hepfm.methods.anomaly.base import Sizes
        from hepfm.methods.anomaly.outcome import outcome

        options = self.options(run)
        problem, injected, test_signal, pool = _problem(workspace, run, options)
        method, start = make_method(options.method, run), time.perf_counter()
        scores = method.fit(problem, folds=options.folds, seed=options.seed)
        seconds = time.perf_counter() - start
        found = outcome(
            problem,
            scores,
            injected,
            test_signal,
            efficiencies=options.efficiencies,
            least=options.least_background,
            config=options.hunt,
            seed=options.seed,
        )
        known = [getattr(problem, role) for role in known_roles(method)]
        parts = problem.data.stores[0].of_parts.shape[1]
        sizes = Sizes(
            len(problem.data), sum(map(len, filter(None, known))), len(test_signal), parts, options.folds
        )
        return {**found, "pool": pool}, problem, Learned(scores, seconds, method.work(sizes))

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Take or draw the data, learn, and measure."""
        from hepfm.methods.anomaly.event_scores import FILE, write_scores

        folder = workspace.run(run.name).path
        found, problem, learned = self.search(workspace, run)
        if found["events"]["injected"] is None:
            write_scores(folder / FILE, problem, learned.scores)
        write_json(folder / OUTCOME, found)
        return {**found["events"], "pool": found["pool"], "test": found["test"], "steps": learned.work}


@dataclass(frozen=True)
class Learned:
    """Scores, the seconds that they took, and what these grow with; see `AnomalyMethod.work`."""

    scores: Scores
    seconds: float
    work: float


def known_roles(method: AnomalyMethod[Any]) -> list[str]:
    """Return the samples of known truth that a method learns from."""
    return ["reference"] * method.reference + ["signal"] * method.signal


def _events(store: StoreInfo, split: str | None) -> int:
    from hepfm.methods.anomaly.events import holds_pairs

    rows = sum(store.splits.values()) if split is None else store.splits[split]
    return rows // (2 if holds_pairs(store.schema) else 1)


def _problem(
    workspace: Workspace, run: Run, options: AnomalyRunOptions
) -> tuple[SearchProblem, Mask | None, Mask, int]:
    """Return the search, which events of data and test are signal, and of how many events data are drawn."""
    from hepfm.methods.anomaly.base import SearchProblem
    from hepfm.methods.anomaly.events import Events
    from hepfm.methods.anomaly.injection import inject, unknown

    events = _windowed(workspace, run, options)
    if "data" in events:
        data = unknown(events["data"], signal=events.get("signal"), seed=options.sample_seed)
    else:
        data = inject(
            events["background"],
            events["signal"],
            count=options.signals,
            size=options.events,
            draw=options.draw,
            seed=options.sample_seed,
        )
    tests = {role: events[role] for role in TESTS if role in events}
    problem = SearchProblem(
        data.events,
        Events.joined(list(tests.values())) if tests else None,
        options.regions,
        options.features,
        events.get("reference"),
        data.left,
    )
    test_signal = np.repeat(
        [role == "test_signal" for role in tests], [len(one) for one in tests.values()]
    ).astype(bool)
    return problem, data.injected, test_signal, len(events[_data_role(options)])


def _data_role(options: AnomalyRunOptions) -> str:
    """Return which sample most of the data are of."""
    return "data" if "data" in options.samples else "background"


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
        used = np.flatnonzero(options.regions.used(events.mass))
        if options.timed is not None and len(used):
            used = numpy_generator(options.sample_seed, "anomaly.timed").choice(used, options.timed)
        found[role] = events.take(used)
    return found
