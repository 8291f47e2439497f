"""Trackers by name: where metrics go besides ``metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from hepfm.core.errors import missing_extra
from hepfm.core.registry import Registry

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
