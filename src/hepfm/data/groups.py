"""Rows that belong together: which field says so, and that no group is torn between splits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.data.row_source import Index, Rows, RowSource


def read_groups(source: RowSource, rows: Rows) -> Index:
    """Return the number of the group of each row, int64, by the schema's role `group`.

    Raises
    ------
    DataError
        When the schema names no group.
    """
    field = source.schema.group
    if field is None:
        raise DataError(
            f"members of groups are to stand together, and no field of {source.name} says which rows belong "
            "together; give its schema the role group, or deal rows one by one (members=None)"
        )
    return np.asarray(source.read([field], rows)[field], np.int64)


def row_groups(source: RowSource, rows: Rows) -> Index | None:
    """Return the number of the group of each row, int64, by the schema's role `group`; None without groups.

    Rows of one group are not independent: what measures their uncertainty draws them together.
    """
    return None if source.schema.group is None else read_groups(source, rows)


def draw_whole(groups: Array, limit: int, rng: np.random.Generator) -> Index:
    """Return the numbers of rows of a random draw of whole groups, rising: at most `limit`, of one group at
    least.

    Parameters
    ----------
    groups
        Number of the group of each row, (rows,).
    limit
        Most rows.
    rng
        Source of the draw.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    drawn = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), limit, side="right")))]
    return np.flatnonzero(np.isin(group, drawn))


def check_whole(groups: Mapping[str, Array], *, field: str, where: str) -> None:
    """Raise `DataError` when a group has rows in two splits: a test would then know the training rows' twins.

    Parameters
    ----------
    groups
        The groups of each split, in any order.
    field
        The field with the role `group`, for the message.
    where
        What is checked, for the message.
    """
    names = list(groups)
    for number, name in enumerate(names):
        for other in names[number + 1 :]:
            common = np.intersect1d(groups[name], groups[other])
            if len(common):
                raise DataError(
                    f"{where}: {len(common)} groups have rows in both splits {name!r} and {other!r}, e.g. "
                    f"{field}={common[0]}; rows that belong together must be in one split"
                )
