"""Tasks that measure generated rows against real ones."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.log import progress
from hepfm.core.ragged import Columns
from hepfm.data.manifest import MANIFEST
from hepfm.data.store import Store
from hepfm.metrics.generation.spectra import Spectrum
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import IntArray
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import MetricInfo
from hepfm.tasks.samples import Samples, draw_samples, of_group, rows_by_class
from hepfm.tasks.spectra import SPECTRA, overlays, spectra_table
from hepfm.tasks.subject import RowsWanted, Subject

FIXED_OPTIONS = ("model", "n", "output", "classes", "like", "device")
"""Options of generation that the protocol sets."""


class Sample(Protocol):
    """What the metrics of a task see of some rows."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, rows: IntArray) -> Self:
        """Return some of the rows."""


class GenerationTask(Task):
    """A protocol of generation.

    The test rows of the real store are cut into two halves at random, class by class, by a seed of the task.
    The first half is the reference of all metrics; the second plays the perfect generator and gives the
    truth-vs-truth baseline. Noise in the units of the first half, with the multiplicities of the second,
    plays a generator that has learned nothing and gives the noise line. The samples have equally many rows of
    each class: the smallest of the numbers, at most `rows_per_class`.
    """

    primary = "fpd"
    counted = "rows"
    label: ClassVar[str] = "jet_label"
    """Field of the classes, where a store has it."""
    rows_per_class: ClassVar[int] = 10_000
    """Maximum of the rows of a class in each of the samples."""
    min_rows: ClassVar[int] = 50
    """Minimum of the rows of a class in each of them."""
    conditioned: ClassVar[bool] = False
    """Whether generation is conditioned on the context of the real rows, e.g. their incident energy."""
    each_class: ClassVar[bool] = False
    """Whether a class is measured by itself too where it is the only one."""
    observed: ClassVar[tuple[str, ...]]
    """Fields of both stores that `observe` needs."""

    @property
    def needs(self) -> ModelNeeds:
        """A generator."""
        return ModelNeeds(generator=True, conditioned=self.conditioned)

    @property
    def fields(self) -> tuple[str, ...]:
        """What `observe` needs; classes are used where there are any."""
        return self.observed

    @abstractmethod
    def observe(self, columns: Columns) -> Any:
        """Return the `Sample` of some rows, given their `observed` fields."""

    @abstractmethod
    def noise(self, real: Columns, like: Columns, rng: np.random.Generator) -> Columns:
        """Return the `observed` fields of rows of pure noise, without a network: the noise line.

        Parameters
        ----------
        real
            Rows whose constituents give the units of the noise.
        like
            Rows that give multiplicities and what generation is conditioned on, one for each row of noise.
        rng
            Of the draws.
        """

    def spectra(self, reference: Any) -> tuple[Spectrum, ...]:
        """Return what figures of generated over real rows show, binned by the reference."""
        return ()

    @abstractmethod
    def compare(self, reference: Any, other: Any, *, group: str = "") -> Iterator[tuple[str, Measurement]]:
        """Measure everything that the task asks of a sample, by the names of `metrics`, one after the other.

        Parameters
        ----------
        reference, other
            What `observe` gave of real rows, and of generated or other real ones.
        group
            Class of the rows; empty for all together.
        """

    def metric(self, name: str) -> TaskMetric:
        """Return a metric by its name, of all classes together or, with ``_CLASS`` behind it, of one."""
        known = {metric.name: metric for metric in self.metrics()}
        of_class = [metric for metric in known.values() if name.startswith(f"{metric.name}_")]
        if name in known or not of_class:
            return super().metric(name)
        metric = max(of_class, key=lambda candidate: len(candidate.name))
        return metric.of_group(name.removeprefix(f"{metric.name}_"))

    def check_options(self, options: MeasureOptions) -> None:
        """Raise `ConfigError` for options that the protocol sets."""
        fixed = [name for name in options.generation if name in FIXED_OPTIONS]
        if fixed:
            raise ConfigError(
                f"the task {self.name!r} says how many rows are generated and of what; leave out "
                f"{', '.join(fixed)}"
            )

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Measure generated rows, or what a model generates, against the real test rows."""
        generated = subject.generated
        if generated is None:
            generated = self.generate(subject, store, options)
        elif options.generation:
            raise ConfigError(
                f"{generated.path} is a store of rows that are there already; leave out "
                f"{', '.join(options.generation)}"
            )
        return self.measure_samples(draw_samples(self, store, generated))

    def generate(self, subject: Subject, real: Store, options: MeasureOptions) -> Store:
        """Generate as many rows of each class of the real test rows as the larger of its halves has."""
        if options.generated is None:
            raise ConfigError(f"the task {self.name!r} generates rows; say where they are kept")
        if self.conditioned and real.schema.weight:
            raise DataError(
                f"the task {self.name!r} gives the model the context of all real rows, not of rows drawn by "
                f"their weights {real.schema.weight!r}; measure without weights (--weights null)"
            )
        rows = rows_by_class(self, real)
        each = max(min((len(members) + 1) // 2, self.rows_per_class) for members in rows.values())
        classes = tuple(name for name in rows if name) or None
        wanted = (
            RowsWanted(each, like=real.path) if self.conditioned else RowsWanted(each * len(rows), classes)
        )
        if _was_generated(options.generated):
            shutil.rmtree(options.generated)  # the result beside it is replaced too
        return subject.generate(wanted, options.generation, output=options.generated)

    def measure_samples(self, samples: Samples) -> Measured:
        """Measure generated rows, other real ones and noise against the reference."""
        classes = tuple(name for name in samples.sizes if name)
        groups = ["", *classes] if len(classes) != 1 else ["", *(classes if self.each_class else [])]
        known = {metric.name: metric for metric in self.metrics()}
        infos: dict[str, list[MetricInfo]] = {"generated": [], "second": [], "noise": []}
        with progress(f"metrics of {self.name}", len(infos) * len(groups)) as advance:
            for group in groups:
                reference = of_group(samples, "reference", group)
                for name, measured in infos.items():
                    other = of_group(samples, name, group)
                    measured += [
                        known[metric].info(measurement, group, detail=bool(group))
                        for metric, measurement in self.compare(reference, other, group=group)
                    ]
                    advance(1, group or "all classes")
        return Measured(
            metrics=tuple(infos["generated"]),
            rows=sum(samples.sizes.values()),
            rows_per_class={name: samples.sizes[name] for name in classes},
            classes=classes,
            truth_vs_truth=tuple(infos["second"]),
            noise=tuple(infos["noise"]),
            tables={SPECTRA: spectra_table(overlays(self, samples))},
        )


def _was_generated(path: Path) -> bool:
    return (path / MANIFEST).is_file() and Store.open(path).manifest.provenance.get("source") == "generated"
