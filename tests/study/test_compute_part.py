"""What each arm cost, and what the same compute buys."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from hepfm.study import compute_part
from hepfm.study.compute_part import COST, EQUAL_COLUMNS, SPENT_COLUMNS, Point
from hepfm.study.outcome import Spent
from hepfm.study.plan import Cell


def spent(seconds: float, steps: int = 10, parameters: int = 1500) -> Spent:
    rows = {"pretrain_rows": 64 * steps, "finetune_rows": 40}
    times = {"pretrain": seconds, "finetune": 1.0, "search": 0.0, "evaluate": 0.25}
    return Spent(**times, **rows, pretrain_steps=steps, finetune_steps=5, parameters=parameters)


@dataclass(frozen=True)
class Known(Point):
    """A point whose mean is known."""

    value: float | None = None
    better: str = "higher"
    scale: str = "difference"

    @property
    def metric(self) -> Any:
        return SimpleNamespace(name="auc", title="AUC", scale=self.scale, better=self.better)

    @property
    def reached(self) -> float | None:
        return self.value


def point(arm: str, seconds: float, value: float | None, *, budget: int = 40, **metric: str) -> Known:
    outcomes: Any = tuple(SimpleNamespace(spent=spent(cost)) for cost in (seconds - 1, seconds + 1))
    return Known(Cell(arm, "tiny", None, "top", budget), outcomes, value, **metric)


def texts(columns: Any, row: Any) -> dict[str, str]:
    return {column.key: column.text(row) for column in columns if column.title}


def test_items_of_cost_are_means_and_are_written_with_two_digits_or_whole() -> None:
    row = point("masked", 12.3456, 0.9)
    assert row.mean("pretrain") == pytest.approx(12.3456)
    shown = texts(SPENT_COLUMNS, row)
    assert shown["pretrain"] == "12"
    assert shown["search"] == "0"
    assert shown["evaluate"] == "0.25"
    assert shown["parameters"] == "1,500"
    assert shown["pretrain_rows_seen"] == "640"
    assert {"pretrain_rows_seen", "finetune_rows_seen"} <= set(shown)
    assert len({column.key for column in SPENT_COLUMNS}) == len(SPENT_COLUMNS)
    assert set(COST) <= {name.removesuffix("_seen") for name in shown}


def test_the_best_at_no_more_compute_is_of_the_same_task_and_labels() -> None:
    grid = [
        point("dear", 30.0, 0.95),
        point("cheap", 10.0, 0.90),
        point("middle", 20.0, 0.85),
        point("other", 5.0, 0.99, budget=100),
    ]
    steps = compute_part._at_equal(grid)
    arms = [(step.point.cell.arm, step.best.cell.arm) for step in steps]
    assert arms == [("cheap", "cheap"), ("middle", "cheap"), ("dear", "dear"), ("other", "other")]
    shown = texts(EQUAL_COLUMNS, steps[1])
    assert shown["best_arm"] == "cheap, tiny (0.9000)"
    assert shown["mean"] == "AUC 0.8500"
    assert shown["steps"] == "15"
    assert shown["core_seconds"] == "21.0"


@pytest.mark.parametrize(("scale", "best"), [("ratio", True), ("difference", False)])
def test_a_rejection_that_does_not_exist_is_the_best_and_any_other_mean_the_worst(
    scale: str, best: bool
) -> None:
    none, some = point("none", 1.0, None, scale=scale), point("some", 1.0, 5.0, scale=scale)
    assert none.better_than(some) is best
    assert some.better_than(none) is not best


def test_better_follows_the_metric() -> None:
    low, high = (point("x", 1.0, value, better="lower") for value in (1.0, 2.0))
    assert low.better_than(high)
    assert not high.better_than(low)
    assert not low.better_than(low)
