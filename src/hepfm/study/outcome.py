"""What a study found: every trial with its result and its cost, or with the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hepfm.core.files import read_json
from hepfm.report.preference import whole_metrics
from hepfm.report.results import BASELINE, Group, Origin, Result, Section
from hepfm.report.table import ReportTable, make_table
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, Trial
from hepfm.tasks.result import read_result
from hepfm.workflow.folder import RUN, RunFolder
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State


@dataclass(frozen=True)
class Spent:
    """Cost of a trial in core seconds (wall time of the finishing attempt times threads), steps and rows.

    Attributes
    ----------
    pretrain
        Of the model it starts from, which many trials share.
    finetune
        Of the fine-tuning that was kept.
    search
        Of the other fine-tunings of its search.
    evaluate
        Of generation and measurement.
    pretrain_steps, finetune_steps, pretrain_rows, finetune_rows
        Optimizer steps and rows seen.
    parameters
        Weights of the fine-tuned model.
    """

    pretrain: float
    finetune: float
    search: float
    evaluate: float
    pretrain_steps: int
    finetune_steps: int
    pretrain_rows: int
    finetune_rows: int
    parameters: int

    @property
    def total(self) -> float:
        """Pre-training, search and fine-tuning together."""
        return self.pretrain + self.finetune + self.search


@dataclass(frozen=True)
class Outcome:
    """A trial with a result.

    Attributes
    ----------
    trial
        What was planned.
    result
        The measured model, under the arm's name in this study.
    rate
        Learning rate of fine-tuning.
    spent
        Its cost.
    """

    trial: Trial
    result: Result
    rate: float
    spent: Spent


@dataclass(frozen=True)
class Missing:
    """A trial without a result: the run that stopped it, and why."""

    trial: Trial
    run: str
    why: str


def collect(
    plan: Plan, folder: StudyFolder, states: Mapping[str, State]
) -> tuple[tuple[Outcome, ...], tuple[Missing, ...]]:
    """Return the trials that have a result, and those that have none."""
    outcomes, missing = [], []
    for trial in plan.trials:
        if states[trial.evaluate] == "done":
            outcomes.append(_outcome(trial, plan, folder))
        else:
            missing.append(_missing(trial, plan, folder, states))
    return tuple(outcomes), tuple(missing)


def _outcome(trial: Trial, plan: Plan, folder: StudyFolder) -> Outcome:
    own = folder.run(trial.evaluate)
    facts = own.facts() or {}
    chosen = str(facts["model"])
    tuned = folder.run(chosen).facts() or {}
    result = Result(own.result, read_result(own.result), trial.cell.arm, _origin(trial, plan))
    measured = core_seconds(facts) + core_seconds(_made(own, folder))
    return Outcome(trial, result, float(tuned["rate"]), _spent(trial, chosen, folder, measured))


def _origin(trial: Trial, plan: Plan) -> Origin:
    seeds = plan.config.seeds
    named = seeds.of(seeds.replicates.index(trial.replicate))["seeds"]
    labels = None if trial.cell.budget is None else named["subset"]
    return Origin(trial.pretrain, labels, named["init"])


def _made(own: RunFolder, folder: StudyFolder) -> dict[str, Any]:
    """Return the facts of the generation behind an evaluation; nothing without one."""
    parents = Run.from_dict(read_json(own.path / RUN)).parents
    return (folder.run(parents["generated"][0]).facts() or {}) if "generated" in parents else {}


def _spent(trial: Trial, chosen: str, folder: StudyFolder, measured: float) -> Spent:
    tuned = folder.run(chosen).facts() or {}
    before = (folder.run(trial.pretrain).facts() or {}) if trial.pretrain else {}
    others = [folder.run(name).facts() or {} for name in trial.search if name != chosen]
    return Spent(
        pretrain=core_seconds(before),
        finetune=core_seconds(tuned),
        search=sum(map(core_seconds, others)),
        evaluate=measured,
        pretrain_steps=before.get("steps", 0),
        finetune_steps=tuned["steps"],
        pretrain_rows=before.get("rows", 0),
        finetune_rows=tuned["rows"],
        parameters=tuned["parameters"],
    )


def core_seconds(facts: Mapping[str, Any]) -> float:
    """Return wall seconds times threads of a finished run; 0 of one that did not finish."""
    return float(facts.get("seconds", 0.0)) * int(facts.get("threads", 1))


def _missing(trial: Trial, plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> Missing:
    """Name the first run, going back from the result, that failed."""
    wanted = [trial.evaluate]
    while wanted:
        name = wanted.pop(0)
        failure = folder.run(name).failure()
        if states[name] == "failed" and failure:
            return Missing(trial, name, f"{failure['kind']}: {failure['message'].strip().splitlines()[-1]}")
        wanted += [parent for parent in plan.runs[name].needed if states[parent] != "done"]
    return Missing(trial, trial.evaluate, "not done yet")


@dataclass(frozen=True)
class Panel:
    """Outcomes that one figure compares: the same task, size and pre-training rows; scratch is in all."""

    task: str
    size: str
    rows: int | None
    outcomes: tuple[Outcome, ...]
    section: Section


def panels(outcomes: Sequence[Outcome]) -> tuple[Panel, ...]:
    """Sort outcomes into panels, in the order of the plan."""
    keys = dict.fromkeys(
        (one.trial.cell.task, one.trial.cell.size, one.trial.cell.rows)
        for one in outcomes
        if one.trial.cell.arm != BASELINE
    ) or dict.fromkeys((one.trial.cell.task, one.trial.cell.size, None) for one in outcomes)
    found = []
    for task, size, rows in keys:
        mine = tuple(one for one in outcomes if _belongs(one, task, size, rows))
        found.append(Panel(task, size, rows, mine, _section(mine)))
    return tuple(found)


def _belongs(one: Outcome, task: str, size: str, rows: int | None) -> bool:
    cell = one.trial.cell
    return (cell.task, cell.size) == (task, size) and (cell.arm == BASELINE or cell.rows == rows)


def _section(outcomes: Sequence[Outcome]) -> Section:
    """Group results by arm and budget, the replicate's number as their seed."""
    cells = dict.fromkeys(one.trial.cell for one in outcomes)
    arms = tuple(dict.fromkeys(cell.arm for cell in cells))
    ordered = sorted(cells, key=lambda cell: (cell.budget is None, cell.budget or 0))
    groups = [
        Group(arm, cell.budget, tuple(_seeded(one) for one in outcomes if one.trial.cell == cell))
        for arm in arms
        for cell in ordered
        if cell.arm == arm
    ]
    file = outcomes[0].result.file
    return Section(file.task, file.data, tuple(sorted(arms, key=lambda arm: arm == BASELINE)), tuple(groups))


def _seeded(one: Outcome) -> Result:
    """Return the result with the replicate's number as its seed, also where equal runs are shared."""
    training = one.result.file.training.model_copy(update={"seed": one.trial.replicate})
    return replace(one.result, file=one.result.file.model_copy(update={"training": training}))


HEADER = (
    "arm",
    "size",
    "pretrain_rows",
    "task",
    "budget",
    "replicate",
    "seed_init",
    "seed_order",
    "seed_subset",
    "seed_pretrain",
    "metric",
    "value",
    "low",
    "high",
    "learning_rate",
    "pretrain_steps",
    "finetune_steps",
    "pretrain_core_seconds",
    "finetune_core_seconds",
    "search_core_seconds",
    "evaluate_core_seconds",
    "parameters",
    "address",
    "commit",
)


def results_table(plan: Plan, outcomes: Sequence[Outcome]) -> ReportTable:
    """Return one row for each metric of each trial: the numbers to keep with a study.

    Metrics of generated jets of single classes are in the result directories only.
    """
    rows = [
        [*_where(plan, one), *_metric, *_cost(one), one.trial.evaluate, one.result.file.code.commit]
        for one in outcomes
        for _metric in _metrics(one)
    ]
    return make_table(HEADER, rows)


def _where(plan: Plan, one: Outcome) -> list[Any]:
    cell, seeds = one.trial.cell, plan.config.seeds
    position = seeds.replicates.index(one.trial.replicate)
    named = seeds.of(position)["seeds"]
    pretrain = seeds.pretrain_of(position) if one.trial.pretrain else None
    numbers = [named["init"], named["order"], named["subset"], pretrain]
    return [cell.arm, cell.size, cell.rows, cell.task, cell.budget, one.trial.replicate, *numbers]


def _metrics(one: Outcome) -> list[list[Any]]:
    return [[metric.name, metric.value, metric.low, metric.high] for metric in whole_metrics(one.result.file)]


def _cost(one: Outcome) -> list[Any]:
    spent = one.spent
    seconds = [round(value, 1) for value in (spent.pretrain, spent.finetune, spent.search, spent.evaluate)]
    return [one.rate, spent.pretrain_steps, spent.finetune_steps, *seconds, spent.parameters]
