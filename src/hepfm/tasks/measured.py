"""A measurement of generated rows on its way into a result file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hepfm.metrics.measurement import Measurement
from hepfm.metrics.trainings import Scale
from hepfm.tasks.result import MetricInfo


@dataclass(frozen=True)
class Measured:
    """One measurement before it gets the name of its class."""

    name: str
    title: str
    measurement: Measurement
    scale: Scale = "difference"
    better: Literal["higher", "lower"] = "lower"

    def info(self, group: str) -> MetricInfo:
        """Return the row of the result file; `group` is a class, or empty for all together."""
        return MetricInfo(
            name=f"{self.name}_{group}" if group else self.name,
            title=f"{self.title}, {group}" if group else self.title,
            scale=self.scale,
            better=self.better,
            **self.measurement.to_dict(),
        )
