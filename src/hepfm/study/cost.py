"""What a study would cost, before it is run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core.writable import scratch_folder
from hepfm.simulate.workers import processors
from hepfm.study.folder import StudyFolder
from hepfm.study.study import prepare
from hepfm.workflow import estimate as workflow
from hepfm.workflow.folder import Workspace


@dataclass(frozen=True)
class StudyCost:
    """The estimate: runs by verb and kind, trials, and runs at the same time."""

    estimates: tuple[workflow.Estimate, ...]
    trials: int
    slots: int

    @property
    def unknown(self) -> int:
        """Number of runs that are not done and of which nothing is known."""
        return sum(estimate.runs - estimate.done for estimate in self.estimates if estimate.seconds is None)

    @property
    def core_seconds(self) -> float:
        """Of everything that is not done, as far as it is known."""
        return sum(estimate.seconds or 0.0 for estimate in self.estimates)

    @property
    def memory(self) -> int:
        """Peak bytes of all runs at once."""
        return self.slots * max((estimate.memory for estimate in self.estimates), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return {
            "trials": self.trials,
            "core_hours": self.core_seconds / 3600,
            "hours": self.core_seconds / 3600 / self.slots,
            "unknown_runs": self.unknown,
            "memory_bytes": self.memory,
            "estimates": list(self.estimates),
        }

    def lines(self) -> list[str]:
        """Return words for people."""
        runs, done = (sum(getattr(estimate, key) for estimate in self.estimates) for key in ("runs", "done"))
        wall = dt.timedelta(seconds=round(self.core_seconds / self.slots))
        problems = [
            f"not measured, {estimate.verb} of {estimate.kind}: {estimate.problem}"
            for estimate in self.estimates
            if estimate.problem
        ]
        unknown = (
            [f"unknown until one of their kind is finished: {self.unknown} runs"] if self.unknown else []
        )
        others = "the others " if self.unknown else ""
        total = (
            f"{others}at most {self.core_seconds / 3600:.2f} core hours, {wall} on {self.slots} cores (early "
            f"stopping saves some); memory {self.memory / 1e9:.1f} GB"
        )
        return [
            *map(_line, self.estimates),
            *problems,
            *unknown,
            f"{self.trials} trials, {runs} runs, {done} done already",
            total,
        ]


def _line(estimate: workflow.Estimate) -> str:
    hours = "unknown" if estimate.seconds is None else f"{estimate.seconds / 3600:.2f} core hours"
    return f"{estimate.verb:9} {estimate.kind:38} {estimate.runs:5} runs {estimate.done:5} done {hours:>18}"


def estimate(
    study: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
) -> StudyCost:
    """Estimate a study from what is finished in `output`, else from a few timed steps; nothing is written.

    Stores that the study would simulate are simulated in small, in a temporary folder.
    """
    plan = prepare(study, overrides)
    with scratch_folder() as scratch:
        estimates = workflow.estimate(plan.graph, StudyFolder(Path(output)), plan.kinds, Workspace(scratch))
    return StudyCost(estimates, len(plan.trials), processes or processors())
