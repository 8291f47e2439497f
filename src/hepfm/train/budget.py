"""Label budgets of fine-tuning, and the validation part that is taken out of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Kind
from hepfm.data.groups import draw_whole, read_groups, row_groups
from hepfm.data.row_selection import RowSelection
from hepfm.data.row_source import Rows
from hepfm.data.store import Store
from hepfm.data.subsets import label_budget
from hepfm.train.label_classes import check_classes, class_counts, tell_undrawn
from hepfm.train.recipe import FinetuneDataConfig
from hepfm.train.validation_rows import validation_places

Index = npt.NDArray[np.int64]


def budget_rows(
    store: Store,
    data: FinetuneDataConfig,
    *,
    targets: tuple[str, ...],
    seed: int,
    only: RowSelection | None = None,
) -> tuple[Index, Index]:
    """Return the rows to train on and the rows to validate on, together the label budget.

    Both parts of a budget are contained in those of every larger budget with the same seed. With one
    categorical target of rows both parts are class-balanced; otherwise, and without a budget, the draw is
    uniform, and rows that belong together (the schema's role ``group``) are in one part.

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
        The rows that are taken into account; None for all.

    Raises
    ------
    DataError
        When the split has too few rows, or lacks a class that ``data.lacking`` does not name, or a balanced
        budget is too small for all classes. A class that a draw in natural shares misses is told, not
        refused.
    """
    split = np.asarray(store.split(data.train))
    among = ""
    if only is not None:
        split = only.of_rows(store, split)
        among = f" with {only}"
        if targets == (only.field,):
            _check_selected(store, split, only)
    if data.budget is not None and data.budget > len(split):
        raise DataError(
            f"data.budget is {data.budget}, split {data.train!r} of {store.path} has {len(split)} rows{among}"
        )
    learned = [name for name in targets if only is None or name != only.field]
    if only is None:
        # Among rows of some classes another label may be bound to lack some: a tau has a decay mode.
        check_classes(store, split, labels=learned, lacking=data.lacking)
    of_rows = [name for name in targets if not store.schema.is_ragged(name)]
    field = store.schema[targets[0]] if len(targets) == len(of_rows) == 1 else None
    if data.budget is not None and field is not None and field.kind is Kind.CATEGORICAL:
        parts = _balanced(store, split, data, field=field, seed=seed)
        check_classes(store, parts[0], labels=learned, lacking=data.lacking)
        return parts
    drawn = numpy_generator(seed, "finetune.budget").permutation(split)[: data.budget]
    parts = _split(drawn, data.validation_fraction, width=1, groups=row_groups(store, drawn))
    tell_undrawn(store, split, parts[0], labels=learned)
    return parts


def _check_selected(store: Store, rows: Index, only: RowSelection) -> None:
    """Refuse rows that lack a class which is to be told from others."""
    counts = class_counts(store, rows, store.schema[only.field])
    absent = [name for name in only.classes if not counts[name]]
    if absent:
        raise DataError(
            f"no training row of {store.path} has {only.field} = {' or '.join(absent)}; leave it out of only"
        )


def _balanced(
    store: Store, split: Index, data: FinetuneDataConfig, *, field: Field, seed: int
) -> tuple[Index, Index]:
    """Draw as many rows of each class as of any other, among the classes that are not said to lack."""
    assert data.budget is not None
    counts = class_counts(store, split, field)
    present = [number for number, name in enumerate(field.classes) if counts[name]]
    rows_per_class = -(-data.budget // len(present))
    few = [name for name, count in counts.items() if 0 < count < rows_per_class]
    if few:
        raise DataError(
            f"a balanced budget of {data.budget} needs up to {rows_per_class} rows of each class, and split "
            f"{data.train!r} of {store.path} has {', '.join(f'{counts[name]} of {name}' for name in few)}; "
            "choose a smaller data.budget or simulate more"
        )
    labels = np.asarray(store.read([field.name], split)[field.name])
    order = np.full(len(field.classes), -1)
    order[present] = np.arange(len(present))
    chosen = split[label_budget(order[labels], data.budget, seed=seed, num_classes=len(present))]
    return _split(chosen, data.validation_fraction, width=len(present))


def training_rows(store: Store, split: str, *, count: int | None, seed: int, whole: bool = False) -> Rows:
    """Return `count` rows of a split, a seeded draw that is contained in every larger one; all when None.

    With `whole` groups are drawn, and come whole: then there are at most `count` rows, or those of one group.
    """
    rows = store.split(split)
    if count is None or count == len(rows):
        return rows
    if count > len(rows):
        raise DataError(f"data.rows is {count}, split {split!r} of {store.path} has {len(rows)} rows")
    rng = numpy_generator(seed, "pretrain.rows")
    if whole:
        return np.asarray(rows)[draw_whole(read_groups(store, rows), count, rng)]
    return np.sort(np.asarray(rows)[rng.permutation(len(rows))[:count]])


def _split(rows: Index, fraction: float, *, width: int, groups: Index | None = None) -> tuple[Index, Index]:
    """Return the rows to train on and those to validate on; with the group of each, groups stay whole."""
    if groups is None:
        chosen = validation_places(len(rows), fraction, width=width)
    else:
        _, first, number = np.unique(groups, return_index=True, return_inverse=True)
        place = np.argsort(np.argsort(first))  # in the order of their first rows, so that budgets are nested
        chosen = validation_places(len(first), fraction, width=width)[place[number]]
    return rows[~chosen], rows[chosen]
