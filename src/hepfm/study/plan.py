"""The plan of a study: a graph of runs, each addressed by everything that determines its result.

Pure bookkeeping: nothing is read, nothing of the networks is imported. Two runs with the same address are one
run, whichever arm, or study, asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hepfm.data.weights import AUTO
from hepfm.study.config import SCRATCH, Downstream, StudyConfig, Values, recipe_values
from hepfm.study.stores import StoreInfo
from hepfm.workflow.run import Run
from hepfm.workflow.verbs.finetune import set_rate

TaskSpec = str | Values
"""Name of a task, or a mapping with ``name`` and options."""

TOKENIZER = "tokenizer"
"""Note of the run that trains the tokenizer."""

_NO_EFFECT = ("log_every", "checkpoint_every", "trackers")
"""Keys of the section ``train`` that do not change the weights."""


@dataclass(frozen=True, order=True)
class Cell:
    """A point of the grid; replicates of it differ by their seeds.

    Attributes
    ----------
    arm, size
        Way of pre-training, and size of the network.
    rows
        Pre-training rows; None is all. Always None for scratch.
    task
        Name of the downstream entry of the study.
    budget
        Labels; None is all.
    """

    arm: str
    size: str
    rows: int | None
    task: str
    budget: int | None


@dataclass(frozen=True)
class Trial:
    """One replicate of a cell, and the runs behind it.

    Attributes
    ----------
    cell, replicate
        What it is.
    pretrain
        The pre-training it starts from; None for scratch.
    models
        Fine-tuning runs of which the one with the lowest validation loss is evaluated; one without a search.
    search
        Fine-tuning runs that were made to choose the learning rate, whichever was chosen.
    evaluate
        The run whose result counts.
    """

    cell: Cell
    replicate: int
    pretrain: str | None
    models: tuple[str, ...]
    search: tuple[str, ...]
    evaluate: str


@dataclass(frozen=True)
class Resolve:
    """What the plan asks of the rest of the package.

    Attributes
    ----------
    pretrain, finetune
        Check a recipe's values (second argument: what to call it) and spell out every option.
    version, conditioned
        Version of a task, and whether generation is conditioned on the context of real rows.
    """

    pretrain: Callable[[Values, str], Values]
    finetune: Callable[[Values, str], Values]
    version: Callable[[TaskSpec], int]
    conditioned: Callable[[TaskSpec], bool]


@dataclass(frozen=True)
class Plan:
    """All runs by name, parents first, and all trials."""

    config: StudyConfig
    runs: Mapping[str, Run]
    trials: tuple[Trial, ...]

    def count(self, verb: str) -> int:
        """Return the number of runs of a verb."""
        return sum(run.verb == verb for run in self.runs.values())


def make_plan(config: StudyConfig, stores: Mapping[str, StoreInfo], resolve: Resolve) -> Plan:
    """Return the plan of a study.

    Raises
    ------
    ConfigError
        When a recipe is wrong.
    """
    planner = _Planner(config, stores, resolve)
    for size in config.pretrain.by_size:
        for arm in config.arms:
            for rows in config.pretrain.rows if arm != SCRATCH else (None,):
                for task in config.downstream:
                    planner.curve(arm, size, rows, task)
    return Plan(config, planner.runs, tuple(planner.trials))


class _Planner:
    """Adds runs and trials, each run once."""

    def __init__(self, config: StudyConfig, stores: Mapping[str, StoreInfo], resolve: Resolve) -> None:
        self.config, self.stores, self.resolve = config, stores, resolve
        self.runs: dict[str, Run] = {}
        self.trials: list[Trial] = []

    def add(self, run: Run) -> str:
        self.runs.setdefault(run.name, run)
        return run.name

    def curve(self, arm: str, size: str, rows: int | None, task: str) -> None:
        """Add all budgets and replicates of an arm on a task."""
        for budget in self.config.downstream[task].budgets:
            cell = Cell(arm, size, rows, task, budget)
            shared: tuple[str, ...] = ()
            for position in range(len(self.config.seeds.replicates)):
                shared = self.trial(cell, position, shared)

    def trial(self, cell: Cell, position: int, shared: tuple[str, ...]) -> tuple[str, ...]:
        """Add one replicate; return the runs of the search that later replicates share."""
        search = self.config.search
        seed = self.config.seeds.pretrain_of(position)
        parent = self.pretrain(cell, seed)
        tried: tuple[str, ...] = ()
        if search is None:
            models: tuple[str, ...] = (self.finetune(cell, position, parent),)
        elif shared:
            models = (self.finetune(cell, position, parent, choice=shared),)
        else:
            models = tried = tuple(
                self.finetune(cell, position, parent, rate=rate) for rate in self.config.rates_of(cell.task)
            )
        trial = Trial(
            cell=cell,
            replicate=self.config.seeds.replicates[position],
            pretrain=None if cell.arm == SCRATCH else parent,
            models=models,
            search=tried,
            evaluate=self.evaluate(cell, position, models),
        )
        self.trials.append(trial)
        return (tried or shared) if search and search.per == "cell" else ()

    # -- runs

    def store(self, name: str) -> tuple[Values, dict[str, tuple[str, ...]], dict[str, str]]:
        """Return what names a store in an address, the run that makes it, and its path."""
        info = self.stores[name]
        if info.recipe is None:
            return {"store": info.fingerprint}, {}, {"store": str(info.path)}
        made = self.add(Run("simulate", {"recipe": info.recipe}, note=name))
        return {}, {"store": (made,)}, {}

    def tokenizer(self) -> dict[str, tuple[str, ...]]:
        """Return the run that trains the tokenizer, by its role; nothing for a study without one."""
        if self.config.tokenizer is None:
            return {}
        resolved = self.resolve.pretrain(tokenizer_values(self.config), TOKENIZER)
        identity, parents, paths = self.store(self.config.pretrain.store)
        run = Run("tokenize", {"recipe": _bare(resolved), **identity}, parents, paths, TOKENIZER)
        return {"tokenizer": (self.add(run),)}

    def pretrain(self, cell: Cell, seed: int) -> str:
        values = pretrain_values(self.config, cell.arm, cell.size, cell.rows, seed)
        resolved = self.resolve.pretrain(values, f"arm {cell.arm}, size {cell.size}")
        identity, parents, paths = self.store(self.config.pretrain.store)
        roles, note = {**parents, **self.tokenizer()}, f"{cell.arm}, {cell.size}"
        return self.add(Run("pretrain", {"recipe": _bare(resolved), **identity}, roles, paths, note))

    def finetune(
        self,
        cell: Cell,
        position: int,
        parent: str,
        *,
        rate: float | None = None,
        choice: tuple[str, ...] = (),
    ) -> str:
        values = finetune_values(self.config, cell, position, rate)
        resolved = self.resolve.finetune(values, f"task {cell.task}")
        identity, parents, paths = self.store(self.config.downstream[cell.task].store)
        roles = {**parents, "model": (parent,), **({"choice": choice} if choice else {})}
        note = f"{cell.arm}, {cell.size}, {cell.task}"
        return self.add(Run("finetune", {"recipe": _bare(resolved), **identity}, roles, paths, note))

    def evaluate(self, cell: Cell, position: int, models: tuple[str, ...]) -> str:
        downstream = self.config.downstream[cell.task]
        task = task_spec(cell.task, downstream)
        identity, parents, paths = self.store(downstream.store)
        values: Values = {"task": task, "version": self.resolve.version(task), **identity}
        weights = finetune_values(self.config, cell, position, None)["data"].get("weights", AUTO)
        if weights != AUTO:
            values["weights"] = weights
        note = f"{cell.arm}, {cell.size}, {cell.task}"
        measured = {"model": models}
        if downstream.generate is not None:
            options = downstream.generate.model_dump(mode="json", exclude_none=True)
            options["seed"] = self.config.seeds.replicates[position]
            conditioned = self.resolve.conditioned(task)
            made = Run(
                "generate",
                {**options, **(identity if conditioned else {})},
                {**measured, **(parents if conditioned else {})},
                paths if conditioned else {},
                note,
            )
            measured = {"generated": (self.add(made),)}
        return self.add(Run("evaluate", values, {**parents, **measured}, paths, note))


def task_spec(name: str, downstream: Downstream) -> TaskSpec:
    """Return a downstream entry's task: its registered name, or name and options."""
    return downstream.task or name


def tokenizer_values(config: StudyConfig) -> Values:
    """Return the recipe of the study's tokenizer; its seed is the first of pre-training."""
    assert config.tokenizer is not None
    store: Values = {"data": {"store": config.pretrain.store}}
    values = recipe_values(config.tokenizer.recipe, "pretrain", config.tokenizer.options, store)
    return {**values, "seed": config.seeds.pretrain[0]}


def pretrain_values(config: StudyConfig, arm: str, size: str, rows: int | None, seed: int) -> Values:
    """Return the recipe of an arm's pre-training.

    Scratch needs a model directory for its architecture: one step of the recipe's own objective. Fine-tuning
    takes no weight and no constant from it.
    """
    grid, spec = config.pretrain, config.arms[arm]
    layers: list[Values] = [grid.options, grid.by_size[size], {"data": {"store": grid.store, "rows": rows}}]
    if config.tokenizer is not None:
        layers.append({"tokenizer": {"model": "", "inputs": config.tokenizer.inputs}})
    if spec is None:
        layers += [{"train": {"steps": 1, "validate_every": 1, "ema": None}, "data": {"validation": None}}]
        return {**recipe_values(grid.recipe, "pretrain", *layers), "seed": config.seeds.pretrain[0]}
    return {**recipe_values(grid.recipe, "pretrain", *layers), "objective": spec, "seed": seed}


def finetune_values(config: StudyConfig, cell: Cell, position: int, rate: float | None) -> Values:
    """Return the recipe of one fine-tuning."""
    downstream = config.downstream[cell.task]
    layers: list[Values] = [
        downstream.options,
        {"data": {"store": downstream.store, "budget": cell.budget}},
        {"init": "scratch" if cell.arm == SCRATCH else "pretrained"},
    ]
    values = recipe_values(downstream.recipe, "finetune", *layers)
    if rate is not None:
        values = set_rate(values, rate)
    if downstream.objective is not None:
        values = {**values, "objective": downstream.objective}
    return {**values, **config.seeds.of(position)}


def _bare(values: Values) -> Values:
    """Return a resolved recipe without what does not change the result; the store is named apart."""
    data = {key: value for key, value in values.get("data", {}).items() if key != "store"}
    train = {key: value for key, value in values.get("train", {}).items() if key not in _NO_EFFECT}
    kept = {key: value for key, value in values.items() if key != "description"}
    return {**kept, "data": data, "train": train}
