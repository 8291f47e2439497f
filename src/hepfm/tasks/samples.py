"""The samples of a generation task: reference, other real rows, generated rows and noise, of equal sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Columns
from hepfm.core.rng import numpy_generator
from hepfm.data.store import Store
from hepfm.data.weights import read_weights, unweighted
from hepfm.metrics.predictions import IntArray

if TYPE_CHECKING:
    from hepfm.tasks.generation import GenerationTask

SEED = 0
"""Of the halves and of the draws of rows: part of the definition of a task."""


@dataclass(frozen=True)
class Samples:
    """Samples with the same number of rows of each class, class after class.

    Attributes
    ----------
    reference, second, generated
        Two disjoint halves of the real test rows, and the generated ones.
    noise
        Noise in the units of the reference, with multiplicities of the second half.
    sizes
        Rows of each class in each sample; the only key is empty for data without classes.
    """

    reference: Any
    second: Any
    generated: Any
    noise: Any
    sizes: dict[str, int]

    def rows(self, name: str) -> IntArray:
        """Return the rows of a class in each of the samples."""
        names = list(self.sizes)
        start = sum(self.sizes[other] for other in names[: names.index(name)])
        return np.arange(start, start + self.sizes[name])


def draw_samples(task: GenerationTask, real: Store, generated: Store) -> Samples:
    """Read the samples of a task.

    Raises
    ------
    DataError
        When a store lacks the test split, fields, or classes of the other, or has too few rows of one.
    """
    _check_fields(task, real)
    _check_fields(task, generated)
    if real.schema.group is not None:
        logger.warning(
            "rows of %s belong together in groups (%s); %s takes them for independent: its errors are "
            "too small, and its two halves of real rows too much alike",
            real.path,
            real.schema.group,
            task.name,
        )
    real_rows = rows_by_class(task, real)
    generated_rows = _of_one_class(rows_by_class(task, generated), real_rows)
    if set(real_rows) != set(generated_rows):
        raise DataError(
            f"{generated.path} has rows of {_named(set(generated_rows))}, the test rows of {real.path} are "
            f"{_named(set(real_rows))}; generate rows of exactly those classes"
        )
    halves = {name: _halves(task, name, rows) for name, rows in real_rows.items()}
    sizes = {name: _size(task, name, halves[name], generated_rows[name]) for name in halves}
    first, second = (
        _read(task, real, {name: half[k] for name, half in halves.items()}, sizes) for k in (0, 1)
    )
    shuffled = {name: _shuffled("generated", name, rows) for name, rows in generated_rows.items()}
    noise = task.noise(first, second, numpy_generator(SEED, "task.generation.noise"))
    other = _read(task, generated, shuffled, sizes)
    return Samples(task.observe(first), task.observe(second), task.observe(other), task.observe(noise), sizes)


def of_group(samples: Samples, name: str, group: str) -> Any:
    """Return the rows of one class of one sample, by its attribute; all of them for the empty name."""
    sample = getattr(samples, name)
    return sample.take(samples.rows(group)) if group else sample


def rows_by_class(task: GenerationTask, store: Store) -> dict[str, IntArray]:
    """Return the test rows of each class that has any; without a label all under the empty name.

    Where rows have event weights, a row is kept with probability w / max(w), the largest of its class: all
    metrics then see rows that follow the weighted distribution and count alike.
    """
    rows = np.asarray(store.split(task.split), np.int64)
    if len(rows) == 0:
        raise DataError(f"the split {task.split!r} of {store.path} is empty")
    if task.label not in store.schema:
        return {"": _unweighted(store, "", rows)}
    labels = np.asarray(store.read([task.label], rows)[task.label])
    names = store.schema[task.label].classes
    return {
        name: _unweighted(store, name, rows[labels == index])
        for index, name in enumerate(names)
        if (labels == index).any()
    }


def _unweighted(store: Store, name: str, rows: IntArray) -> IntArray:
    weights = read_weights(store, rows)
    if weights is None:
        return rows
    rng = numpy_generator(SEED, f"task.generation.unweighted.{name}")
    of = f", class {name}" if name else ""
    return rows[unweighted(weights, rng=rng, where=f"{store.path}{of}")]


def _of_one_class(generated: dict[str, IntArray], real: dict[str, IntArray]) -> dict[str, IntArray]:
    """Take rows without classes for those of the only class that the real ones have."""
    return dict.fromkeys(real, generated[""]) if set(generated) == {""} and len(real) == 1 else generated


def _check_fields(task: GenerationTask, store: Store) -> None:
    missing = [name for name in task.observed if name not in store.schema]
    if missing:
        raise DataError(f"{store.path} has no {', '.join(missing)}; the task {task.name!r} needs them")


def _named(names: set[str]) -> str:
    return "no class (there is no label)" if names == {""} else f"the classes {', '.join(sorted(names))}"


def _halves(task: GenerationTask, name: str, rows: IntArray) -> tuple[IntArray, IntArray]:
    order = _shuffled("halves", name, rows)
    middle = len(order) // 2
    return order[:middle], order[middle:]


def _shuffled(purpose: str, name: str, rows: IntArray) -> IntArray:
    return numpy_generator(SEED, f"task.generation.{purpose}.{name}").permutation(rows)


def _size(task: GenerationTask, name: str, halves: tuple[IntArray, IntArray], generated: IntArray) -> int:
    size = min(len(halves[0]), len(halves[1]), len(generated), task.rows_per_class)
    if size < task.min_rows:
        of = f" of class {name}" if name else ""
        raise DataError(
            f"{len(generated)} generated rows and twice {len(halves[0])} real ones{of}, after rows were "
            f"drawn by event weights where there are any; the task {task.name!r} "
            f"needs at least {task.min_rows} in each sample: generate more rows, or take more real ones"
        )
    return size


def _read(task: GenerationTask, store: Store, rows: dict[str, IntArray], sizes: dict[str, int]) -> Columns:
    index = np.concatenate([rows[name][:size] for name, size in sizes.items()])
    return store.read(task.observed, index)
