"""What a study found: every trial with its result and its cost, or with the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hepfm.report.sections import Origin, Result
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, Trial
from hepfm.study.replicate_stores import is_own
from hepfm.tasks.result_folder import read_result
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
    measured = folder.run(trial.evaluate)
    chosen = str((measured.facts() or {})["model"])
    result = Result(measured.result, read_result(measured.result), trial.cell.arm, _origin(trial, plan))
    rate = float((folder.run(chosen).facts() or {})["rate"])
    return Outcome(trial, result, rate, _spent(trial, chosen, plan, folder))


def _origin(trial: Trial, plan: Plan) -> Origin:
    seeds = plan.config.seeds
    named = seeds.of(seeds.replicates.index(trial.replicate))["seeds"]
    drawn = None if trial.cell.budget is None else named["subset"]
    store = plan.config.stores[plan.config.downstream[trial.cell.task].store]
    labels = trial.replicate if is_own(store) else drawn
    return Origin(trial.pretrain, labels, named["init"])


def _spent(trial: Trial, chosen: str, plan: Plan, folder: StudyFolder) -> Spent:
    def seconds(*names: str) -> float:
        return sum((folder.run(name).core_seconds for name in names), 0.0)

    started_from = (trial.pretrain,) if trial.pretrain else ()
    pretrained = (folder.run(trial.pretrain).facts() or {}) if trial.pretrain else {}
    tuned = folder.run(chosen).facts() or {}
    return Spent(
        pretrain=seconds(*started_from),
        finetune=seconds(chosen),
        search=seconds(*(name for name in trial.search if name != chosen)),
        evaluate=seconds(trial.evaluate, *plan.runs[trial.evaluate].parents.get("generated", ())),
        pretrain_steps=pretrained.get("steps", 0),
        finetune_steps=tuned["steps"],
        pretrain_rows=pretrained.get("rows", 0),
        finetune_rows=tuned["rows"],
        parameters=tuned["parameters"],
    )


def _missing(trial: Trial, plan: Plan, folder: StudyFolder, states: Mapping[str, State]) -> Missing:
    """Name the first run, going back from the result, that failed."""
    wanted = [trial.evaluate]
    while wanted:
        name = wanted.pop(0)
        failure = folder.run(name).failure()
        if states[name] == "failed" and failure:
            return Missing(trial, name, diagnosis(failure))
        wanted += [parent for parent in plan.runs[name].needed if states[parent] != "done"]
    return Missing(trial, trial.evaluate, "not done yet")


def diagnosis(failure: Mapping[str, Any]) -> str:
    """Return why a run failed, in one line."""
    return f"{failure['kind']}: {failure['message'].strip().splitlines()[-1]}"
