"""What a study would cost: a few steps of each kind of training are measured, times how often it is done."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError, TrainingError
from hepfm.core.log import progress
from hepfm.simulate.workers import processors
from hepfm.study.board import duration
from hepfm.study.config import Values
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan
from hepfm.study.stores import StoreInfo, open_stores
from hepfm.study.study import prepare
from hepfm.workflow.child import one_thread, start_server
from hepfm.workflow.run import Run
from hepfm.workflow.verbs import VERBS
from hepfm.workflow.verbs.base import store_path

FORWARD = 1 / 3
"""Share of a training step that the forward pass takes, for validation, scoring and generation."""

TINY = 100
"""Rows of each split (of jets, in each class) simulated to measure with, where there is no store yet."""

TINY_WITH_CODES = 1000
"""The same for a study with a tokenizer, whose codes start from different constituents."""

TRAININGS: tuple[str, ...] = ("tokenize", "pretrain", "finetune")

CALLS = {"euler": 1}
"""Calls of the network in a step of a flow's solver; two in the others."""

METRICS = 20.0
"""Seconds assumed for the metrics of generated jets, not measured: 64 to 80 were seen on a busy machine."""

T = TypeVar("T")


@dataclass(frozen=True)
class Rate:
    """A measured kind of training.

    Attributes
    ----------
    step
        Seconds of one step on one core.
    row
        Seconds per row of a step.
    memory
        Peak bytes.
    parameters
        Weights.
    """

    step: float
    row: float
    memory: int
    parameters: int


NOTHING = Rate(0.0, 0.0, 0, 0)


@dataclass(frozen=True)
class Share:
    """All runs of one verb and kind: how many, how many are done, core seconds of the others."""

    verb: str
    kind: str
    runs: int
    done: int
    seconds: float
    memory: int


@dataclass(frozen=True)
class StudyCost:
    """The estimate."""

    shares: tuple[Share, ...]
    trials: int
    slots: int
    problems: tuple[str, ...] = ()

    @property
    def core_seconds(self) -> float:
        """Of everything that is not done."""
        return sum(share.seconds for share in self.shares)

    @property
    def memory(self) -> int:
        """Peak bytes of all runs at once."""
        return self.slots * max((share.memory for share in self.shares), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "trials": self.trials,
            "core_hours": self.core_seconds / 3600,
            "hours": self.core_seconds / 3600 / self.slots,
            "memory_bytes": self.memory,
            "runs": [vars(share) for share in self.shares],
            "problems": list(self.problems),
        }

    def lines(self) -> list[str]:
        """Return words for people."""
        rows = [
            f"{share.verb:9} {share.kind:34} {share.runs:5} runs {share.done:5} done "
            f"{share.seconds / 3600:9.2f} core hours"
            for share in self.shares
        ]
        runs, done = (sum(getattr(share, key) for share in self.shares) for key in ("runs", "done"))
        wall = duration(self.core_seconds / self.slots)
        last = (
            f"at most {self.core_seconds / 3600:.2f} core hours, {wall} on {self.slots} cores "
            f"(early stopping saves some); memory {self.memory / 1e9:.1f} GB"
        )
        rows += [f"not measured, {problem}" for problem in self.problems]
        return [*rows, f"{self.trials} trials, {runs} runs, {done} done already", last]


def estimate(
    study: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
) -> StudyCost:
    """Measure a few steps of every arm and size, and of every task and size; nothing is written.

    Stores that the study would simulate are simulated in small, in a temporary folder.
    """
    plan = prepare(study, overrides)
    with tempfile.TemporaryDirectory() as scratch:
        meter = _Meter(plan, open_stores(plan.config), StudyFolder(Path(output)), Path(scratch))
        shares = meter.shares()
    return StudyCost(shares, len(plan.trials), processes or processors(), tuple(meter.problems))


def _in_child(function: Callable[..., T], *arguments: object) -> T:
    """Call in a process of its own, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, mp_context=start_server(), initializer=one_thread) as pool:
        return pool.submit(function, *arguments).result()


def _pretrain_rate(recipe: Values) -> Rate:
    from hepfm.train.pretrain import dry_run

    return _rate(dry_run(recipe))


def _finetune_rate(model: Path, recipe: Values) -> Rate:
    from hepfm.train.finetune import dry_run

    return _rate(dry_run(model, recipe))


def _rate(cost: Any) -> Rate:
    return Rate(cost.seconds_per_step, 1 / cost.rows_per_s, cost.peak_memory_bytes, cost.parameters)


def _blank(recipe: Values, output: Path) -> float:
    """Train one step; return the seconds that every training spends besides its steps."""
    from hepfm.train.pretrain import pretrain

    start = time.perf_counter()
    train = {**recipe["train"], "steps": 1, "validate_every": 1}
    pretrain({**recipe, "train": train, "data": {**recipe["data"], "validation": None}}, output=output)
    return time.perf_counter() - start


def _simulated(recipe: Values, output: Path) -> float:
    from hepfm.simulate.run import simulate

    start = time.perf_counter()
    simulate(recipe, output=output, processes=1)
    return time.perf_counter() - start


class _Meter:
    """Measures each kind of run once."""

    def __init__(
        self, plan: Plan, stores: Mapping[str, StoreInfo], folder: StudyFolder, scratch: Path
    ) -> None:
        self.plan, self.stores, self.folder, self.scratch = plan, stores, folder, scratch
        self.paths: dict[str, Path] = {}
        self.per_row: dict[str, float] = {}
        self.kinds = kinds(plan)
        self.overhead = 0.0
        self.trained: dict[str, Rate] = {}
        self.problems: list[str] = []

    def shares(self) -> tuple[Share, ...]:
        order = list(VERBS)
        names = sorted(self.plan.runs, key=lambda name: order.index(self.plan.runs[name].verb))
        groups: dict[tuple[str, str], list[str]] = {}
        for name in names:
            groups.setdefault((self.plan.runs[name].verb, self.kinds[name]), []).append(name)
        found = []
        with progress("measuring", len(groups)) as advance:
            for (verb, kind), members in groups.items():
                found.append(self._share(verb, kind, members))
                advance(1, f"{verb} {kind}")
        return tuple(found)

    def _share(self, verb: str, kind: str, members: list[str]) -> Share:
        left = [name for name in members if self.folder.status(name) == "waiting"]
        seconds, memory = 0.0, 0
        if left and verb in TRAININGS:
            rate = self._try_rate(self.plan.runs[left[0]], kind)
            self.trained[f"{verb} {kind}"], memory = rate, rate.memory
        for name in left:
            seconds += self._seconds(self.plan.runs[name], kind)
        return Share(verb, kind, len(members), len(members) - len(left), seconds, memory)

    def _seconds(self, run: Run, kind: str) -> float:
        if run.verb == "simulate":
            return self._simulation(run)
        if run.verb in TRAININGS:
            rate = self.trained[f"{run.verb} {kind}"]
            return (
                self.overhead
                + rate.step * int(run.values["recipe"]["train"]["steps"])
                + (rate.row * FORWARD * self._validated_rows(run))
            )
        rate = self.trained.get(f"finetune {kind}") or NOTHING
        if run.verb == "generate":
            return rate.row * FORWARD * int(run.values["n"]) * self._calls(run)
        if "generated" in run.parents:
            return METRICS
        return self.overhead + rate.row * FORWARD * self._info(run).splits.get("test", 0)

    def _calls(self, run: Run) -> int:
        """Return how often the network is called for a row; code by code with a cache is about once."""
        from hepfm.inference.generate import generator_options
        from hepfm.objectives import OBJECTIVES

        spec = self.plan.runs[run.parents["model"][0]].values["recipe"]["objective"]
        objective = resolve_component(OBJECTIVES, spec, where="objective")
        schema = self._info(run).schema
        required = objective.cls.requirements(objective.config, schema).generator
        generator = required.generator if required else None
        if generator is None or not generator.cls.needs_time:
            return 1
        named = {key: value for key, value in run.values.items() if key in generator.cls.sampling_options}
        options = generator_options(generator, named).model_dump()
        return int(options.get("steps", 1)) * CALLS.get(options.get("solver", ""), 2)

    def _validated_rows(self, run: Run) -> int:
        recipe = run.values["recipe"]
        train, data = recipe["train"], recipe["data"]
        times = int(train["steps"]) // int(train["validate_every"]) + 1
        if run.verb != "finetune":
            rows = self._info(run).splits.get(data["validation"] or "", 0)
        else:
            budget = data["budget"] or self._info(run).splits.get(data["train"], 0)
            rows = int(budget * float(data["validation_fraction"]))
        return times * min(rows, int(train["validation_rows"]))

    def _try_rate(self, run: Run, kind: str) -> Rate:
        """Measure a training; one that cannot be measured so costs nothing, and is told of."""
        try:
            return self._train_rate(run)
        except (TrainingError, DataError) as error:
            self.problems.append(f"{run.verb} {kind}: {error}")
            return NOTHING

    def _train_rate(self, run: Run) -> Rate:
        """Measure a pre-training, or a fine-tuning of a model of the same size."""
        recipe = self._recipe(run)
        if run.verb != "finetune":
            return _in_child(_pretrain_rate, recipe)
        (parent,) = run.parents["model"]
        return _in_child(_finetune_rate, self._model(parent), recipe)

    def _model(self, name: str) -> Path:
        """Return the model of a run; one of a single step where the run has not been done."""
        model = self.folder.run(name).model
        if model.exists():
            return model
        output = self.scratch / name
        if not output.exists():
            self.overhead = _in_child(_blank, self._recipe(self.plan.runs[name]), output)
        return output / "model"

    def _recipe(self, run: Run) -> Values:
        """Return a run's recipe on the store that there is; a small one bounds the rows."""
        recipe, path = run.values["recipe"], self._store(run)
        data = {**recipe["data"], "store": str(path)}
        if path.is_relative_to(self.scratch):
            key = "budget" if run.verb == "finetune" else "rows"
            data[key] = None
        if "tokenizer" in run.parents:
            made = {**recipe["tokenizer"], "model": str(self._model(run.parents["tokenizer"][0]))}
            recipe = {**recipe, "tokenizer": made}
        return {**recipe, "data": data}

    def _store(self, run: Run) -> Path:
        path = store_path(self.folder, run)
        if path.exists():
            return path
        (made_by,) = run.parents["store"]
        if made_by not in self.paths:
            self._simulation(self.plan.runs[made_by])
        return self.paths[made_by]

    def _simulation(self, run: Run) -> float:
        """Simulate in small, once; return the seconds of the whole."""
        recipe, output = run.values["recipe"], self.scratch / run.name
        kind = recipe["kind"]
        wanted = sum(recipe[kind].values())
        limit = TINY if self.plan.config.tokenizer is None else TINY_WITH_CODES
        few = {split: min(rows, limit) for split, rows in recipe[kind].items()}
        if run.name not in self.paths:
            seconds = _in_child(_simulated, {**recipe, kind: few}, output)
            self.paths[run.name] = output
            self.per_row[run.name] = seconds / sum(few.values())
        return self.per_row[run.name] * wanted

    def _info(self, run: Run) -> StoreInfo:
        if "store" in run.parents:
            return self.stores[self.plan.runs[run.parents["store"][0]].note]
        return next(
            info for info in self.stores.values() if info.path and str(info.path) == run.paths["store"]
        )


def kinds(plan: Plan) -> dict[str, str]:
    """Return what kind of run each is: arm and size for pre-training, task and size downstream."""
    by_note = ("simulate", "tokenize", "pretrain")
    found = {name: run.note for name, run in plan.runs.items() if run.verb in by_note}
    for trial in plan.trials:
        below = f"{trial.cell.task}, {trial.cell.size}"
        generated = plan.runs[trial.evaluate].parents.get("generated", ())
        for name in (*trial.models, *trial.search, *generated, trial.evaluate):
            found[name] = below
    return found
