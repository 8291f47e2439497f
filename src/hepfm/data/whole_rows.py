"""Rows that must not be cut: a network that reads so few of their constituents would miss those that stand
last, which are not the softest but the generator's."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import lists
from hepfm.data.features import FeatureSet
from hepfm.data.row_source import Rows, RowSource

_CHUNK = 100_000
"""Rows whose constituents are counted at once."""


def check_whole(source: RowSource, features: FeatureSet, rows: Rows, *, max_constituents: int) -> None:
    """Raise `DataError` where a row has more constituents than are read, and must not be cut.

    Before a training, so that it does not end at the first such row.
    """
    if not features.whole_rows:
        return
    index = np.asarray(source.index(rows), np.int64)
    entries = source.lengths(source.schema[features.entries].level, index)
    index = index[np.asarray(entries) > max_constituents]
    names = [features.entries, *features.base]
    for start in range(0, len(index), _CHUNK):
        part = index[start : start + _CHUNK]
        chosen = features.choose(source.read(list(dict.fromkeys(names)), part))
        refuse_cut(source.name, part, lists(chosen, features.entries).lengths, max_constituents)


def refuse_cut(
    where: str, rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], max_constituents: int
) -> None:
    """Raise `DataError` where one of some rows has more constituents than are read."""
    if lengths.max(initial=0) > max_constituents:
        _refuse(where, int(rows[lengths.argmax()]), int(lengths.max()), max_constituents)


def _refuse(where: str, row: int, length: int, limit: int) -> NoReturn:
    raise DataError(
        f"row {row} of {where} has {length} objects of both levels, and {limit} are read: particles of the "
        f"generator, which stand last, would be left out; set data.max_constituents={length}, or simulate "
        "with a higher threshold of pt"
    )
