"""What a study would cost, before it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core.writable import scratch_folder
from hepfm.simulate.workers import processors
from hepfm.study.folder import StudyFolder
from hepfm.study.study import prepare
from hepfm.workflow import estimate as workflow
from hepfm.workflow.cost import WorkflowCost
from hepfm.workflow.folder import Workspace


@dataclass(frozen=True)
class StudyCost(WorkflowCost):
    """The estimate, with the number of trials."""

    trials: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return {"trials": self.trials, **super().to_dict()}

    def lines(self) -> list[str]:
        """Return words for people."""
        return [f"{self.trials} trials", *super().lines()]


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
    return StudyCost(estimates, processes or processors(), len(plan.trials))
