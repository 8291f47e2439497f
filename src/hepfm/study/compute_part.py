"""The part of a study's report about cost: what each arm spent, and what each reaches at equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from hepfm.report.blocks import Part, Titled
from hepfm.report.formats import number, significant
from hepfm.report.preference import primary_metric, rank
from hepfm.report.sections import Group
from hepfm.report.summary import summarise
from hepfm.report.table import Column, ReportTable, in_file
from hepfm.study.grid_columns import grid_columns
from hepfm.study.outcome import Outcome
from hepfm.study.plan import Cell
from hepfm.tasks.result import MetricInfo


@dataclass(frozen=True)
class Point:
    """A cell of the grid: what it cost on average over its replicates, and what it reached."""

    cell: Cell
    outcomes: tuple[Outcome, ...]

    def mean(self, name: str) -> float:
        """Return the mean of an item of cost."""
        return mean(float(getattr(one.spent, name)) for one in self.outcomes)

    @property
    def metric(self) -> MetricInfo:
        """The metric that the task opens with."""
        return primary_metric(self.outcomes[0].result.file)

    @property
    def reached(self) -> float | None:
        """Its mean over replicates."""
        group = Group(self.cell.arm, self.cell.budget, tuple(one.result for one in self.outcomes))
        return summarise(group, self.metric.name).mean.value

    def better_than(self, other: Point) -> bool:
        """Tell whether this reached more."""
        return rank(self.reached, self.metric) < rank(other.reached, self.metric)


def points(outcomes: Sequence[Outcome]) -> tuple[Point, ...]:
    """Return the cells of the grid that have results."""
    cells = dict.fromkeys(one.trial.cell for one in outcomes)
    return tuple(Point(cell, tuple(one for one in outcomes if one.trial.cell == cell)) for cell in cells)


def compute_part(outcomes: Sequence[Outcome]) -> Part:
    """Build the part about cost."""
    grid = points(outcomes)
    spent = ReportTable(SPENT_COLUMNS, grid, SPENT, "compute")
    equal = ReportTable(EQUAL_COLUMNS, _at_equal(grid), EQUAL, "equal-compute")
    blocks = (Titled("Spent", (spent,)), Titled("Equal compute beside equal steps", (equal,)))
    return Part("compute", "Compute", blocks)


# -- what each point of the grid cost

SPENT = (
    "Means over replicates. Pre-train, search, fine-tune and evaluate: core seconds as measured (wall time "
    "of the attempt that finished, times threads). Search: fine-tunings that were tried and not kept. One "
    "pre-training serves all budgets, tasks and replicates; it is counted in full for each."
)


def _item(name: str) -> Column[Point]:
    def shown(point: Point) -> str:
        value = point.mean(name)
        return f"{value:,.0f}" if value >= 100 or value == 0 else significant(value, 2)

    # Rows seen in training, not the rows that there are, which the columns of the grid give.
    key = f"{name}_seen" if name.endswith("_rows") else name
    return Column(key.replace("_", " "), key, lambda point: point.mean(name), shown)


COST = (
    "pretrain",
    "search",
    "finetune",
    "evaluate",
    "pretrain_steps",
    "finetune_steps",
    "pretrain_rows",
    "finetune_rows",
    "parameters",
)
SPENT_COLUMNS: tuple[Column[Point], ...] = (
    *grid_columns(lambda point: point.cell),
    *map(_item, COST),
    in_file("total", lambda point: point.mean("total")),
)


# -- what the same compute buys

EQUAL = (
    "By rising compute (pre-training, search and fine-tuning together) within each task and number of "
    "labels. Read down to a cost to see what the same compute buys with another arm or size; the means are "
    "those of the test rows, so the best of many is slightly optimistic."
)


@dataclass(frozen=True)
class Step:
    """A point of the grid, and the best one of its task and budget that cost no more."""

    point: Point
    best: Point

    @property
    def best_text(self) -> str:
        """Arm, size and value of the best one."""
        cell = self.best.cell
        return f"{cell.arm}, {cell.size} ({number(self.best.reached, self.point.metric.scale)})"

    @property
    def steps(self) -> float:
        """Optimizer steps of pre-training and fine-tuning."""
        return self.point.mean("pretrain_steps") + self.point.mean("finetune_steps")

    @property
    def reached_text(self) -> str:
        """The metric and its mean."""
        return f"{self.point.metric.title} {number(self.point.reached, self.point.metric.scale)}"


EQUAL_COLUMNS: tuple[Column[Step], ...] = (
    *grid_columns(lambda step: step.point.cell),
    Column(
        "core seconds",
        "core_seconds",
        lambda step: step.point.mean("total"),
        lambda step: significant(step.point.mean("total")),
    ),
    Column("steps", "steps", lambda step: step.steps, lambda step: f"{step.steps:,.0f}"),
    in_file("metric", lambda step: step.point.metric.name),
    Column("mean", "mean", lambda step: step.point.reached, lambda step: step.reached_text),
    Column(
        "best at no more compute",
        "best_arm",
        lambda step: step.best.cell.arm,
        lambda step: step.best_text,
    ),
)


def _at_equal(grid: Sequence[Point]) -> tuple[Step, ...]:
    """Return the points of each task and budget by rising cost, with the best that costs no more."""
    steps: list[Step] = []
    for task, budget in dict.fromkeys((point.cell.task, point.cell.budget) for point in grid):
        alike = [point for point in grid if (point.cell.task, point.cell.budget) == (task, budget)]
        best: Point | None = None
        for point in sorted(alike, key=lambda one: one.mean("total")):
            if best is None or point.better_than(best):
                best = point
            steps.append(Step(point, best))
    return tuple(steps)
