"""The part of a study's report about cost: what each arm spent, and what each reaches at equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from hepfm.report import html
from hepfm.report.preference import lower_is_better, primary_metric
from hepfm.report.results import Group, budget_text
from hepfm.report.section import Part
from hepfm.report.summary import summarise
from hepfm.report.table import ReportTable, make_table, number, significant
from hepfm.study.outcome import Outcome
from hepfm.study.plan import Cell


@dataclass(frozen=True)
class Point:
    """A cell of the grid: what it cost on average over its replicates, and what it reached."""

    cell: Cell
    outcomes: tuple[Outcome, ...]

    def mean(self, name: str) -> float:
        """Return the mean of an item of cost."""
        return mean(float(getattr(one.spent, name)) for one in self.outcomes)

    def reached(self, metric: str) -> float | None:
        """Return the mean of a metric over replicates."""
        group = Group(self.cell.arm, self.cell.budget, tuple(one.result for one in self.outcomes))
        return summarise(group, metric).mean.value


def points(outcomes: Sequence[Outcome]) -> tuple[Point, ...]:
    """Return the cells of the grid that have results."""
    cells = dict.fromkeys(one.trial.cell for one in outcomes)
    return tuple(Point(cell, tuple(one for one in outcomes if one.trial.cell == cell)) for cell in cells)


_COST = (
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


def compute_part(outcomes: Sequence[Outcome]) -> Part:
    """Build the part about cost."""
    found = points(outcomes)
    tables = {"compute": _spent_csv(found), "equal-compute": _equal_csv(found)}
    body = html.subsection(
        "Spent", _spent_table(found) + html.csv_link(tables["compute"], "compute")
    ) + html.subsection(
        "Equal compute beside equal steps",
        _equal_table(found) + html.csv_link(tables["equal-compute"], "equal-compute"),
    )
    return Part("compute", "Compute", html.section("compute", "Compute", body), tables)


def _name(cell: Cell) -> list[str]:
    rows = "" if cell.rows is None else f"{cell.rows:,}"
    return [cell.task, cell.arm, cell.size, rows]


def _spent_table(found: Sequence[Point]) -> str:
    rows = [
        [*_name(point.cell), budget_text(point.cell.budget), *(_cell(point, name) for name in _COST)]
        for point in found
    ]
    header = (
        "task",
        "arm",
        "size",
        "pre-training rows",
        "labels",
        *(name.replace("_", " ") for name in _COST),
    )
    return html.scroll_table(
        header,
        rows,
        caption=(
            "Means over replicates. Pre-train, search, fine-tune and evaluate: core seconds as measured "
            "(wall time of the attempt that finished, times threads). Search: fine-tunings that were tried "
            "and not kept. One pre-training serves all budgets, tasks and replicates; it is counted in full "
            "for each."
        ),
        text_columns=3,
    )


def _cell(point: Point, name: str) -> str:
    value = point.mean(name)
    return f"{value:,.0f}" if value >= 100 or value == 0 else significant(value, 2)


def _spent_csv(found: Sequence[Point]) -> ReportTable:
    rows = [
        [*_key(point.cell), *(point.mean(name) for name in _COST), point.mean("total")] for point in found
    ]
    return make_table(("task", "arm", "size", "pretrain_rows", "labels", *_COST, "total"), rows)


def _key(cell: Cell) -> list[str | int | None]:
    return [cell.task, cell.arm, cell.size, cell.rows, cell.budget]


def _at_equal(found: Sequence[Point]) -> list[tuple[Point, float | None, Point | None]]:
    """Return the points of each task and budget by rising cost, with the best that costs no more."""
    listed: list[tuple[Point, float | None, Point | None]] = []
    for task, budget in dict.fromkeys((point.cell.task, point.cell.budget) for point in found):
        mine = [point for point in found if (point.cell.task, point.cell.budget) == (task, budget)]
        best: Point | None = None
        for point in sorted(mine, key=lambda one: one.mean("total")):
            value = point.reached(_primary(point))
            if value is not None and (best is None or _better(point, best)):
                best = point
            listed.append((point, value, best))
    return listed


def _primary(point: Point) -> str:
    return primary_metric(point.outcomes[0].result.file).name


def _better(point: Point, other: Point) -> bool:
    ours, theirs = point.reached(_primary(point)), other.reached(_primary(other))
    if ours is None or theirs is None:
        return theirs is None
    low = lower_is_better(primary_metric(point.outcomes[0].result.file))
    return ours < theirs if low else ours > theirs


def _equal_table(found: Sequence[Point]) -> str:
    rows = []
    for point, value, best in _at_equal(found):
        info = primary_metric(point.outcomes[0].result.file)
        steps = point.mean("pretrain_steps") + point.mean("finetune_steps")
        cheap = best.cell if best else None
        rows.append(
            [
                *_name(point.cell),
                budget_text(point.cell.budget),
                significant(point.mean("total")),
                f"{steps:,.0f}",
                f"{info.title} {number(value, info.scale)}",
                f"{cheap.arm}, {cheap.size} ({number(best.reached(info.name), info.scale)})"
                if cheap and best
                else "none",
            ]
        )
    return html.scroll_table(
        (
            "task",
            "arm",
            "size",
            "pre-training rows",
            "labels",
            "core seconds",
            "steps",
            "mean",
            "best at no more compute",
        ),
        rows,
        caption=(
            "By rising compute (pre-training, search and fine-tuning together) within each task and number "
            "of labels. Read down to a cost to see what the same compute buys with another arm or size; the "
            "means are those of the test rows, so the best of many is slightly optimistic."
        ),
        text_columns=3,
    )


def _equal_csv(found: Sequence[Point]) -> ReportTable:
    rows = [
        [*_key(point.cell), point.mean("total"), _primary(point), value, best.cell.arm if best else None]
        for point, value, best in _at_equal(found)
    ]
    header = (
        "task",
        "arm",
        "size",
        "pretrain_rows",
        "labels",
        "core_seconds",
        "metric",
        "mean",
        "best_arm",
    )
    return make_table(header, rows)
