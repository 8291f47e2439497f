"""Trackers by name: where metrics go besides ``metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hepfm.core.errors import missing_extra
from hepfm.core.registry import Registry
from hepfm.train.run import MetricsLog, RunDirectory

TRACKERS = Registry(
    "tracker",
    {"tensorboard": ("hepfm.train.trackers:TensorBoard", "event files in RUN/tensorboard")},
)


class Tracker(Protocol):
    """What a tracker does; built by ``cls(run_directory)``."""

    def log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Record the values of a step; `kind` is ``"train"`` or ``"validation"``."""

    def close(self) -> None:
        """Write what is left."""


class Recorder:
    """Sends values to ``metrics.jsonl`` and to the trackers; of several processes only the first does.

    Parameters
    ----------
    run
        The run directory.
    step
        The step that the run goes on from; later lines of ``metrics.jsonl`` are dropped.
    names
        Trackers to use.
    active
        Whether this process writes.
    """

    def __init__(self, run: RunDirectory, *, step: int, names: Sequence[str], active: bool) -> None:
        self.metrics = MetricsLog.resume(run.metrics, step) if active else None
        self.trackers: list[Tracker] = [TRACKERS.load(name)(run.path) for name in names] if active else []

    def log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Record the values of a step."""
        if self.metrics is not None:
            self.metrics.write(kind, step, values)
        for tracker in self.trackers:
            tracker.log(kind, step, values)

    def close(self) -> None:
        """Write what is left."""
        if self.metrics is not None:
            self.metrics.close()
        for tracker in self.trackers:
            tracker.close()


class TensorBoard:
    """Scalars as TensorBoard event files."""

    def __init__(self, run: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing_extra("tensorboard", "track") from None
        self.writer = SummaryWriter(run / "tensorboard")

    def log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Record the values of a step."""
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
