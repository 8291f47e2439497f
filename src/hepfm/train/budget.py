"""Label budgets of fine-tuning, and the validation part that is taken out of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Kind
from hepfm.data.store import Rows, Store
from hepfm.data.subsets import label_budget
from hepfm.train.recipe import FinetuneDataConfig

Index = npt.NDArray[np.int64]


def budget_rows(
    store: Store,
    data: FinetuneDataConfig,
    *,
    targets: tuple[str, ...],
    seed: int,
    only: tuple[str, int] | None = None,
) -> tuple[Index, Index]:
    """Return the rows to train on and the rows to validate on, together the label budget.

    Both parts of a budget are contained in those of every larger budget with the same seed. With one
    categorical target both parts are class-balanced; otherwise, and without a budget, the draw is uniform.

    Parameters
    ----------
    store
        The data.
    data
        The section ``data`` of the recipe.
    targets
        Fields of the labels.
    seed
        Of the draw.
    only
        Field and class number of the rows that are taken into account; None for all.
    """
    split = np.asarray(store.split(data.train))
    among = ""
    if only is not None:
        name, number = only
        split = split[np.asarray(store.read([name], split)[name]) == number]
        among = f" with {name} = {store.schema[name].classes[number]}"
    if data.budget is not None and data.budget > len(split):
        raise DataError(
            f"data.budget is {data.budget}, split {data.train!r} of {store.path} has {len(split)} rows{among}"
        )
    classes = store.schema[targets[0]].classes if len(targets) == 1 else ()
    if data.budget is not None and classes and store.schema[targets[0]].kind is Kind.CATEGORICAL:
        labels = np.asarray(store.read(targets, range(split[0], split[-1] + 1))[targets[0]])
        chosen = split[label_budget(labels, data.budget, seed=seed, num_classes=len(classes))]
        return _split(chosen, data.validation_fraction, width=len(classes))
    chosen = numpy_generator(seed, "finetune.budget").permutation(split)[: data.budget]
    return _split(chosen, data.validation_fraction, width=1)


def training_rows(store: Store, split: str, *, count: int | None, seed: int) -> Rows:
    """Return `count` rows of a split, a seeded draw that is contained in every larger one; all when None."""
    rows = store.split(split)
    if count is None or count == len(rows):
        return rows
    if count > len(rows):
        raise DataError(f"data.rows is {count}, split {split!r} of {store.path} has {len(rows)} rows")
    drawn = numpy_generator(seed, "pretrain.rows").permutation(len(rows))[:count]
    return np.sort(np.asarray(rows)[drawn])


def _split(rows: Index, fraction: float, *, width: int) -> tuple[Index, Index]:
    """Give every so-maniest group of `width` neighbours to validation."""
    group = np.arange(len(rows)) // width
    chosen = np.floor((group + 1) * fraction + 1e-9) > np.floor(group * fraction + 1e-9)
    return rows[~chosen], rows[chosen]
