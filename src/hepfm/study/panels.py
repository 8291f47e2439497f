"""Panels: the outcomes of a study that are compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hepfm.report.sections import BASELINE, Group, Result, Section
from hepfm.study.outcome import Outcome


@dataclass(frozen=True)
class Panel:
    """Outcomes that one figure compares: the same task, size and pre-training rows; scratch is in all."""

    task: str
    size: str
    rows: int | None
    outcomes: tuple[Outcome, ...]
    section: Section

    @property
    def name(self) -> str:
        """Task, size and pre-training rows for people."""
        rows = "" if self.rows is None else f", {self.rows:,} pre-training rows"
        return f"{self.task}, {self.size}{rows}"


def panels(outcomes: Sequence[Outcome]) -> tuple[Panel, ...]:
    """Sort outcomes into panels, in the order of the plan."""
    keys = dict.fromkeys(
        (one.trial.cell.task, one.trial.cell.size, one.trial.cell.rows)
        for one in outcomes
        if one.trial.cell.arm != BASELINE
    ) or dict.fromkeys((one.trial.cell.task, one.trial.cell.size, None) for one in outcomes)
    sorted_out = []
    for task, size, rows in keys:
        mine = tuple(one for one in outcomes if _belongs(one, task, size, rows))
        sorted_out.append(Panel(task, size, rows, mine, _section(mine)))
    return tuple(sorted_out)


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
