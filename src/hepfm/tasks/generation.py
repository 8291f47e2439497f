"""The contract of a task that measures generated rows against real ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from hepfm.core.ragged import Columns
from hepfm.metrics.generation.spectra import Spectrum
from hepfm.metrics.predictions import IntArray
from hepfm.tasks.base import Task, TaskMetric
from hepfm.tasks.result import MetricInfo


class Sample(Protocol):
    """What the metrics of a task see of some rows."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, rows: IntArray) -> Self:
        """Return some of the rows."""


class GenerationTask(Task):
    """A protocol of generation. It scores no rows, so it has no metrics of `Predictions`.

    The test rows of the real store are cut into two halves at random, class by class, by a seed of the task.
    The first half is the reference of all metrics; the second plays the perfect generator and gives the
    floors. Noise in the units of the first half, with the multiplicities of the second, plays a generator
    that has learned nothing and gives the noise line. The samples have equally many rows of each class: the
    smallest of the numbers, at most `rows_per_class`.
    """

    background = ""
    classes = ()
    features = ()
    primary = "fpd"
    rows_per_class: ClassVar[int] = 10_000
    """Most rows of a class in each of the three samples."""
    least_rows: ClassVar[int] = 50
    """Fewest rows of a class in each of them."""
    told: ClassVar[bool] = False
    """Whether a model is told the context of the real rows, e.g. their incident energy."""
    each_class: ClassVar[bool] = False
    """Whether a class is measured by itself too where it is the only one."""
    fields: ClassVar[tuple[str, ...]]
    """Fields of the store that `observe` needs."""

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return no metric: those of generated rows come from `measure`."""
        return ()

    @abstractmethod
    def observe(self, columns: Columns) -> Any:
        """Return the `Sample` of some rows, given their `fields`."""

    @abstractmethod
    def noise(self, real: Columns, like: Columns, rng: np.random.Generator) -> Columns:
        """Return the `fields` of rows of pure noise, without a network: the noise line.

        Parameters
        ----------
        real
            Rows whose constituents give the units of the noise.
        like
            Rows that give multiplicities and what a model is told, one for each row of noise.
        rng
            Of the draws.
        """

    def spectra(self, reference: Any) -> tuple[Spectrum, ...]:
        """Return what figures of generated over real rows show, binned by the reference."""
        return ()

    @abstractmethod
    def measure(self, reference: Any, other: Any, *, group: str = "") -> Iterator[MetricInfo]:
        """Measure everything that the task asks of a sample, one after the other.

        Parameters
        ----------
        reference, other
            What `observe` gave of real rows, and of generated or other real ones.
        group
            Class of the rows; empty for all together.
        """
