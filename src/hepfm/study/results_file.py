"""``results.csv``: the numbers to keep with a study, one row for each metric of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hepfm.report.preference import whole_metrics
from hepfm.report.table import Column, Numbers, full_numbers, in_file
from hepfm.study.outcome import Outcome
from hepfm.study.plan import Plan
from hepfm.tasks.result import MetricInfo

RESULTS = "results.csv"


@dataclass(frozen=True)
class MetricRow:
    """A metric of a trial, with the seeds of the trial."""

    outcome: Outcome
    metric: MetricInfo
    seeds: dict[str, int | None]


COLUMNS: tuple[Column[MetricRow], ...] = (
    in_file("arm", lambda row: row.outcome.trial.cell.arm),
    in_file("size", lambda row: row.outcome.trial.cell.size),
    in_file("pretrain_rows", lambda row: row.outcome.trial.cell.rows),
    in_file("task", lambda row: row.outcome.trial.cell.task),
    in_file("budget", lambda row: row.outcome.trial.cell.budget),
    in_file("replicate", lambda row: row.outcome.trial.replicate),
    in_file("seed_init", lambda row: row.seeds["init"]),
    in_file("seed_order", lambda row: row.seeds["order"]),
    in_file("seed_subset", lambda row: row.seeds["subset"]),
    in_file("seed_pretrain", lambda row: row.seeds["pretrain"]),
    in_file("metric", lambda row: row.metric.name),
    in_file("value", lambda row: row.metric.value),
    in_file("low", lambda row: row.metric.low),
    in_file("high", lambda row: row.metric.high),
    in_file("learning_rate", lambda row: row.outcome.rate),
    in_file("pretrain_steps", lambda row: row.outcome.spent.pretrain_steps),
    in_file("finetune_steps", lambda row: row.outcome.spent.finetune_steps),
    in_file("pretrain_core_seconds", lambda row: round(row.outcome.spent.pretrain, 1)),
    in_file("finetune_core_seconds", lambda row: round(row.outcome.spent.finetune, 1)),
    in_file("search_core_seconds", lambda row: round(row.outcome.spent.search, 1)),
    in_file("evaluate_core_seconds", lambda row: round(row.outcome.spent.evaluate, 1)),
    in_file("parameters", lambda row: row.outcome.spent.parameters),
    in_file("address", lambda row: row.outcome.trial.evaluate),
    in_file("commit", lambda row: row.outcome.result.file.code.commit),
)


def results_file(plan: Plan, outcomes: Sequence[Outcome]) -> Numbers:
    """Return the table; metrics of generated rows of single classes are in the result directories only."""
    rows = [
        MetricRow(outcome, metric, _seeds(plan, outcome))
        for outcome in outcomes
        for metric in whole_metrics(outcome.result.file)
    ]
    return full_numbers(COLUMNS, rows)


def _seeds(plan: Plan, outcome: Outcome) -> dict[str, int | None]:
    seeds = plan.config.seeds
    position = seeds.replicates.index(outcome.trial.replicate)
    pretrain = seeds.pretrain_of(position) if outcome.trial.pretrain else None
    return {**seeds.of(position)["seeds"], "pretrain": pretrain}
