"""The contract of a task that measures generated jets against real ones."""

from __future__ import annotations

from typing import ClassVar

from hepfm.metrics.generation.emd import EmdBatches
from hepfm.tasks.base import Task, TaskMetric


class GenerationTask(Task):
    """A protocol of generation. It scores no rows, so it has no metrics of `Predictions`.

    The test rows of the real store are cut into two halves at random, class by class, by a seed of the task.
    The first half is the reference of all metrics; the second plays the perfect generator and gives the
    floors. Reference, second half and generated jets have equally many jets of each class: the smallest of
    the three numbers, at most `jets_per_class`.
    """

    background = ""
    classes = ()
    features = ()
    primary = "fpd"
    max_constituents: ClassVar[int]
    """Constituents that count, the hardest ones, of real and of generated jets."""
    radius: ClassVar[float] = 0.8
    """Jet radius, R0 of N-subjettiness."""
    jets_per_class: ClassVar[int] = 10_000
    """Most jets of a class in each of the three samples."""
    emd: ClassVar[EmdBatches] = EmdBatches()
    """How many jets coverage and MMD compare."""
    fpnd: ClassVar[bool] = False
    """Whether FPND is measured, for the classes g, q and t."""

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return no metric: `hepfm.tasks.measure_generation` has those of generated jets."""
        return ()
