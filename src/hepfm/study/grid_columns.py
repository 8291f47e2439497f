"""Columns that say where in the grid of a study a row stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hepfm.report.sections import budget_text
from hepfm.report.table import Column, text
from hepfm.study.plan import Cell

Row = TypeVar("Row")


def grid_columns(cell: Callable[[Row], Cell]) -> tuple[Column[Row], ...]:
    """Return the columns of task, arm, size, pre-training rows and labels for rows that have a cell."""

    def rows_text(row: Row) -> str:
        rows = cell(row).rows
        return "" if rows is None else f"{rows:,}"

    return (
        text("task", "task", lambda row: cell(row).task),
        text("arm", "arm", lambda row: cell(row).arm),
        text("size", "size", lambda row: cell(row).size),
        Column("pre-training rows", "pretrain_rows", lambda row: cell(row).rows, rows_text),
        Column("labels", "labels", lambda row: cell(row).budget, lambda row: budget_text(cell(row).budget)),
    )
