"""What a workflow would cost, before it is run, in numbers and in words."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from hepfm.workflow.estimate import Estimate


@dataclass(frozen=True)
class WorkflowCost:
    """Runs by verb and kind, and how many of them are done at once."""

    estimates: tuple[Estimate, ...]
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
            f"{runs} runs, {done} done already",
            total,
        ]


def _line(estimate: Estimate) -> str:
    hours = "unknown" if estimate.seconds is None else f"{estimate.seconds / 3600:.2f} core hours"
    return f"{estimate.verb:9} {estimate.kind:38} {estimate.runs:5} runs {estimate.done:5} done {hours:>18}"
