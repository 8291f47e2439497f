"""The demo: from proton collisions to a fine-tuned tagger and an honest report, in minutes on two cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hepfm.study.study import StudyResult, study


def demo(
    output: str | Path = "demo", *, overrides: Sequence[str] = (), processes: int | None = None
) -> StudyResult:
    """Simulate, pre-train on ten classes, fine-tune to top tagging from few labels, evaluate, report.

    This is the built-in study ``demo``: what is complete is kept, and a second call goes on.

    Parameters
    ----------
    output
        Directory for everything; created if needed.
    overrides
        ``key=value`` settings laid over the study.
    processes
        Runs at the same time, one thread each; all processors when not given.
    """
    return study("demo", output=output, overrides=overrides, processes=processes)
