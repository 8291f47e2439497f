"""The three samples of a generation task: reference, other real rows and generated rows, of equal sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.data.store import Store
from hepfm.data.weights import read_weights, unweighted
from hepfm.metrics.predictions import IntArray
from hepfm.tasks.generation import GenerationTask

SEED = 0
"""Of the halves and of the draws of jets: part of the definition of a task."""


@dataclass(frozen=True)
class Samples:
    """Three samples with the same number of jets of each class, class after class.

    Attributes
    ----------
    reference, second, generated
        Two disjoint halves of the real test jets, and the generated ones.
    sizes
        Jets of each class in each sample; the only key is empty for data without classes.
    """

    reference: Any
    second: Any
    generated: Any
    sizes: dict[str, int]

    def rows(self, name: str) -> IntArray:
        """Return the rows of a class in each of the three samples."""
        names = list(self.sizes)
        start = sum(self.sizes[other] for other in names[: names.index(name)])
        return np.arange(start, start + self.sizes[name])


def draw_samples(task: GenerationTask, real: Store, generated: Store) -> Samples:
    """Read the samples of a task.

    Raises
    ------
    DataError
        When a store lacks the test split, fields, or classes of the other, or has too few jets of one.
    """
    _check_fields(task, real)
    _check_fields(task, generated)
    real_rows = rows_by_class(task, real)
    made_rows = _of_one_class(rows_by_class(task, generated), real_rows)
    if set(real_rows) != set(made_rows):
        raise DataError(
            f"{generated.path} has jets of {_named(set(made_rows))}, the test jets of {real.path} are "
            f"{_named(set(real_rows))}; generate jets of exactly those classes"
        )
    halves = {name: _halves(task, name, rows) for name, rows in real_rows.items()}
    sizes = {name: _size(task, name, halves[name], made_rows[name]) for name in halves}
    made = {name: _shuffled("generated", name, rows) for name, rows in made_rows.items()}
    chosen = (
        (real, {name: half[0] for name, half in halves.items()}),
        (real, {name: half[1] for name, half in halves.items()}),
        (generated, made),
    )
    reference, second, other = (_observe(task, store, rows, sizes) for store, rows in chosen)
    return Samples(reference, second, other, sizes)


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


def _of_one_class(made: dict[str, IntArray], real: dict[str, IntArray]) -> dict[str, IntArray]:
    """Take jets without classes for those of the only class that the real ones have."""
    return dict.fromkeys(real, made[""]) if set(made) == {""} and len(real) == 1 else made


def _check_fields(task: GenerationTask, store: Store) -> None:
    missing = [name for name in task.fields if name not in store.schema]
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


def _size(task: GenerationTask, name: str, halves: tuple[IntArray, IntArray], made: IntArray) -> int:
    size = min(len(halves[0]), len(halves[1]), len(made), task.rows_per_class)
    if size < task.least_rows:
        of = f" of class {name}" if name else ""
        raise DataError(
            f"{len(made)} generated jets and twice {len(halves[0])} real ones{of}, after rows were drawn by "
            f"event weights where there are any; the task {task.name!r} "
            f"needs at least {task.least_rows} in each sample: generate more jets, or take more real ones"
        )
    return size


def _observe(task: GenerationTask, store: Store, rows: dict[str, IntArray], sizes: dict[str, int]) -> Any:
    index = np.concatenate([rows[name][:size] for name, size in sizes.items()])
    return task.observe(store.read(task.fields, index))
