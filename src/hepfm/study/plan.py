"""The plan of a study: a graph of runs, each addressed by everything that determines its result.

Pure bookkeeping: no rows are read, no network is built. Two runs with the same address are one run, whichever
arm, or study, asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from hepfm.core.errors import ConfigError
from hepfm.data.weights import AUTO
from hepfm.study.config import SCRATCH, Downstream, StudyConfig, Values, recipe_values
from hepfm.study.domain_values import joint_values, single_values
from hepfm.study.domains import ARCHITECTURE_ALONE, domain_store, trained_together
from hepfm.study.replicate_stores import shared_name, store_of
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.adopt import Adopt
from hepfm.workflow.verbs.evaluate import Evaluate
from hepfm.workflow.verbs.finetune import Finetune, of_domain, set_rate
from hepfm.workflow.verbs.generate import Generate
from hepfm.workflow.verbs.joint import PretrainJoint
from hepfm.workflow.verbs.pretrain import Pretrain
from hepfm.workflow.verbs.tokenize import Tokenize

TaskSpec = str | Values
"""Name of a task, or a mapping with ``name`` and options."""

TOKENIZER = "tokenizer"
"""Note of the run that trains the tokenizer."""


FIRST = 0
"""Position of the replicate whose store is measured on by all: draws of a mixture have the same test rows,
and only rows of one store are compared row by row."""


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
class ScaledTraining:
    """A pre-training whose loss is fitted against scale, or predicted.

    Attributes
    ----------
    arm, size, rows
        What it is; rows is None for all.
    seed
        Its seed.
    predicted
        Name of the prediction that it is held out for; empty where it is fitted.
    run
        Name of the run.
    """

    arm: str
    size: str
    rows: int | None
    seed: int
    predicted: str
    run: str


@dataclass(frozen=True)
class Plan:
    """All runs, and all trials.

    Attributes
    ----------
    config
        The study.
    graph
        Its runs, parents first, and its stores.
    trials
        One for each replicate of each point of the grid.
    problems
        What is wrong with recipes; trials that need them are left out.
    scaled
        Pre-trainings of the scaling law; empty for a study without one.
    """

    config: StudyConfig
    graph: RunGraph
    trials: tuple[Trial, ...]
    problems: tuple[str, ...] = ()
    scaled: tuple[ScaledTraining, ...] = ()

    @property
    def runs(self) -> Mapping[str, Run]:
        """All runs by name, parents first."""
        return self.graph.runs

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What kind of run each is: arm and size for pre-training, task and size downstream."""
        above = ("simulate", "mix", "label", "tokenize", "pretrain", "joint", "adopt")
        kinds = {name: shared_name(run.note) for name, run in self.runs.items() if run.verb in above}
        for trial in self.trials:
            below = f"task {trial.cell.task!r}, size {trial.cell.size!r}"
            generated = self.runs[trial.evaluate].parents.get("generated", ())
            for name in (*trial.models, *trial.search, *generated, trial.evaluate):
                kinds[name] = below
        return kinds

    def count(self, verb: str) -> int:
        """Return the number of runs of a verb."""
        return sum(run.verb == verb for run in self.runs.values())


def make_plan(config: StudyConfig, stores: Mapping[str, StoreInfo]) -> Plan:
    """Return the plan of a study on its stores."""
    planner = _Planner(config, stores)
    for size in config.pretrain.by_size:
        for arm in config.arms:
            for rows in config.pretrain.rows if arm != SCRATCH else (None,):
                for task in config.downstream:
                    if planner.trains_for(arm, task):
                        planner.curve(arm, size, rows, task)
    scaled = tuple(planner.scaled())
    return Plan(config, planner.graph, tuple(planner.trials), tuple(planner.problems), scaled)


class _Planner:
    """Adds runs and trials, each run once."""

    def __init__(self, config: StudyConfig, stores: Mapping[str, StoreInfo]) -> None:
        self.config, self.stores = config, stores
        self.graph = RunGraph(stores.values())
        self.trials: list[Trial] = []
        self.problems: dict[str, None] = {}

    def trains_for(self, arm: str, task: str) -> bool:
        """Tell whether an arm trains on the domain of a task; without domains each arm is for every task."""
        own = self.config.downstream[task].domain
        return own is None or bool(trained_together(self.config.arms[arm], self.config.domains, own))

    def curve(self, arm: str, size: str, rows: int | None, task: str) -> None:
        """Add all budgets and replicates of an arm on a task; note what is wrong with its recipes."""
        try:
            for budget in self.config.downstream[task].budgets:
                cell = Cell(arm, size, rows, task, budget)
                shared: tuple[str, ...] = ()
                for position in range(len(self.config.seeds.replicates)):
                    shared = self.trial(cell, position, shared)
        except ConfigError as error:
            self.problems[str(error)] = None

    def trial(self, cell: Cell, position: int, shared: tuple[str, ...]) -> tuple[str, ...]:
        """Add one replicate; return the runs of the search that later replicates share."""
        search = self.config.search if self._has_rate(cell) else None
        seed = self.config.seeds.pretrain_of(position)
        own = self.config.downstream[cell.task].domain
        parent = self.pretrain(cell.arm, cell.size, cell.rows, seed, own)
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

    def scaled(self) -> Iterator[ScaledTraining]:
        """Add the pre-trainings of the scaling law; note what is wrong with their recipes."""
        scaling = self.config.scaling
        if scaling is None:
            return
        fitted = scaling.fitted(self.config.pretrain.by_size, self.config.pretrain.rows)
        cells = {**dict.fromkeys(fitted, ""), **scaling.held_out}
        for arm in scaling.arms or self.config.pretrained:
            for (size, rows), predicted in cells.items():
                try:
                    for seed in self.config.seeds.pretrain:
                        run = self.pretrain(arm, size, rows, seed)
                        yield ScaledTraining(arm, size, rows, seed, predicted, run)
                except ConfigError as error:
                    self.problems[str(error)] = None

    # -- runs

    def tokenizer(self) -> dict[str, tuple[str, ...]]:
        """Return the run that trains the tokenizer, by its role; nothing for a study without one."""
        if self.config.tokenizer is None:
            return {}
        store = self.stores[self.config.pretrain.store]
        run = Tokenize().plan(tokenizer_values(self.config), store, where=TOKENIZER, note=TOKENIZER)
        return {"tokenizer": (self.graph.add(run),)}

    def pretrain(self, arm: str, size: str, rows: int | None, seed: int, own: str | None = None) -> str:
        """Add a pre-training, or take in a model; `own` is the domain of the task that it is for."""
        where, given = f"arm {arm!r}, size {size!r}", self.config.arms[arm]
        if given is not None and given.model is not None:
            return self.graph.add(Adopt.plan(given.model, note=where))
        if own is not None:
            return self.graph.add(self._of_domains(arm, size, rows, seed, own))
        values = pretrain_values(self.config, arm, size, rows, seed)
        store = self.stores[self.config.pretrain.store]
        return self.graph.add(
            Pretrain().plan(values, store, where=where, parents=self.tokenizer(), note=where)
        )

    def _of_domains(self, arm: str, size: str, rows: int | None, seed: int, own: str) -> Run:
        """Return the pre-training on one or several domains."""
        config = self.config
        together = trained_together(config.arms[arm], config.domains, own)
        stores = {name: self.stores[domain_store(config.domains[name])] for name in together}
        where = f"arm {arm!r}, size {size!r}"
        if len(together) == 1:
            where = f"{where}, domain {own!r}"
            values = single_values(config, arm, size, rows, seed, own)
            return Pretrain().plan(values, stores[own], where=where, note=where)
        values = joint_values(config, arm, size, rows, seed, together)
        return PretrainJoint().plan_joint(values, stores, where=where, note=where)

    def finetune(
        self,
        cell: Cell,
        position: int,
        parent: str,
        *,
        rate: float | None = None,
        choice: tuple[str, ...] = (),
    ) -> str:
        """Add a fine-tuning."""
        values = finetune_values(self.config, cell, position, rate)
        store = self._store(self.config.downstream[cell.task].store, position)
        parents = {"model": (parent,), **({"choice": choice} if choice else {})}
        where, own = f"task {cell.task!r}", self.config.downstream[cell.task].domain
        run = Finetune().plan(values, store, where=where, parents=parents, note=_note(cell))
        if own is not None and self.graph.runs[parent].verb == PretrainJoint.verb:
            run = of_domain(run, own)
        return self.graph.add(run)

    def evaluate(self, cell: Cell, position: int, models: tuple[str, ...]) -> str:
        """Add an evaluation, and the generation of what it measures."""
        from hepfm.tasks.base import load_task

        downstream = self.config.downstream[cell.task]
        store = self._store(downstream.test or downstream.store, FIRST)
        task = task_spec(cell.task, downstream)
        weights = finetune_values(self.config, cell, position, None)["data"].get("weights", AUTO)
        generated = None
        if downstream.generate is not None:
            options = downstream.generate.model_dump(mode="json", exclude_none=True)
            options["seed"] = self.config.seeds.replicates[position]
            conditions = store if load_task(task).needs.conditioned else None
            generated = self.graph.add(
                Generate.plan(options, models, conditions=conditions, note=_note(cell))
            )
        return self.graph.add(
            Evaluate.plan(task, store, models=models, generated=generated, weights=weights, note=_note(cell))
        )

    def _store(self, name: str, position: int) -> StoreInfo:
        return store_of(self.stores, name, self.config.seeds.replicates[position])

    def _has_rate(self, cell: Cell) -> bool:
        """Tell whether fine-tuning for a task goes by steps: a head that is fitted at once has no rate."""
        recipe = Finetune().read(finetune_values(self.config, cell, 0, None), f"task {cell.task!r}")
        return bool(recipe.mode.cls.by_steps)


def _note(cell: Cell) -> str:
    return f"{cell.arm}, {cell.size}, {cell.task}"


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
    grid, given = config.pretrain, config.arms[arm]
    layers: list[Values] = [grid.options, config.by_size[size], {"data": {"store": grid.store, "rows": rows}}]
    if config.tokenizer is not None:
        layers.append({"tokenizer": {"model": "", "inputs": config.tokenizer.inputs}})
    if given is not None:
        layers.append(given.options)
    if given is None:
        layers.append(ARCHITECTURE_ALONE)
        return {**recipe_values(grid.recipe, "pretrain", *layers), "seed": config.seeds.pretrain[0]}
    return {**recipe_values(grid.recipe, "pretrain", *layers), "objective": given.objective, "seed": seed}


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
