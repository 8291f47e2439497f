"""The contract of a reader, and what readers share."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, ClassVar, Protocol

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.remote import DataFile


class Reader(Protocol):
    """Reads files of one format into columns, in pieces that fit into memory. Built by ``cls(config)``."""

    Config: ClassVar[type[config.Config]]
    """What the files do not tell about themselves; most formats have nothing here."""

    endings: ClassVar[tuple[str, ...]]
    """How names of such files end, small letters with the dot; these are read of a folder."""

    def source(self, path: DataFile) -> dict[str, str]:
        """Return where such a file comes from: title, DOI, licence; goes into the provenance of the store."""

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of the store that a file makes; raise `DataError` when it is no such file."""

    def num_rows(self, path: DataFile) -> int | None:
        """Return the number of rows of a file; None where only reading all of it would tell."""

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the rows of a file in order, as columns of `schema`."""


def sort_by_pt(columns: Columns) -> dict[str, Array | Ragged]:
    """Drop constituents without transverse momentum; sort those of each row by falling ``part_pt``."""
    return sort_falling(columns, "part_pt")


def sort_falling(columns: Columns, name: str) -> dict[str, Array | Ragged]:
    """Drop constituents whose field `name` is 0, as in padding; sort those of a row by falling values of it.

    Negative values and those that are no numbers are kept, so that they are refused and not lost.
    """
    by = columns[name]
    assert isinstance(by, Ragged)
    order = np.lexsort((-by.values, by.row_index()))
    keep = by.values[order] != 0

    def arrange(column: Array | Ragged) -> Array | Ragged:
        return column.with_values(column.values[order]).keep(keep) if isinstance(column, Ragged) else column

    return {key: arrange(column) for key, column in columns.items()}


def momentum_fields(px: Array, py: Array, pz: Array) -> tuple[Array, Array, Array]:
    """Return pt, pseudorapidity and azimuth in (-pi, pi] as float32; eta is 0 where pt is 0.

    In double precision, so that they give the momenta back to float32 accuracy.
    """
    px, py, pz = (np.asarray(part, np.float64) for part in (px, py, pz))
    pt = np.hypot(px, py)
    eta = np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pz), where=pt > 0))
    return pt.astype(np.float32), eta.astype(np.float32), np.arctan2(py, px).astype(np.float32)


_NAMED = 6
"""Missing names that a message gives."""


def require(found: Any, needed: Any, path: DataFile, *, what: str) -> None:
    """Raise `DataError` with the nearest names unless everything needed is among those found in a file."""
    missing = [name for name in needed if name not in found]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        names = ", ".join(missing[:_NAMED])
        near = [get_close_matches(name, list(found), n=1, cutoff=0.8) for name in missing[:_NAMED]]
        nearest = ", ".join(dict.fromkeys(name for names in near for name in names))
        has = f"; the nearest that it has: {nearest}" if nearest else ""
        raise DataError(f"{path} lacks the {what} {names}{more}{has}; is it a file of this format?")


def row_weights(column: Array | Ragged, name: str, path: DataFile) -> Array:
    """Return a column of event weights as float32; raise `DataError` unless it is one number for each row."""
    if (
        isinstance(column, Ragged)
        or np.asarray(column).ndim != 1
        or np.asarray(column).dtype.kind not in "fiu"
    ):
        raise DataError(f"{path}: {name!r} holds no event weights: expected one number for each row")
    return np.asarray(column).astype(np.float32)
