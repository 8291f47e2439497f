"""The contract of a table: named columns of a file, read in pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self

import numpy as np

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Array, Ragged
from hepfm.data.remote import DataFile

CHUNK_ROWS = 20_000
"""Rows of a piece."""


class FileTable(ABC):
    """Columns of a file. Built by ``cls(path, name)``, and closed by leaving its ``with`` block.

    Attributes
    ----------
    path
        The file.
    names
        Of the columns.
    stays_open
        Whether the end of a ``with`` block leaves it open; see `hepfm.data.tables.kept`.
    """

    stays_open = False

    def __init__(self, path: DataFile, name: str | None = None) -> None:
        self.path = path
        self.names: tuple[str, ...] = ()
        self.opened = ExitStack()
        with ExitStack() as failed:
            failed.callback(self.opened.close)
            self._open(name)
            failed.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.stays_open:
            self.opened.close()

    def num_rows(self, names: Sequence[str]) -> int:
        """Return the number of rows of columns; raise `DataError` when there is none of a name."""
        return self._num_rows(self._known(names))

    def chunks(self, names: Sequence[str], rows: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield columns as awkward arrays (numbers, lists of any depth, fixed shapes), some rows at a time.

        Parameters
        ----------
        names
            Of the columns.
        rows
            Rows of a piece; `CHUNK_ROWS` by default.

        Raises
        ------
        DataError
            When the file has no such column, or it does not hold numbers.
        """
        return self._chunks(self._known(names), rows or CHUNK_ROWS)

    def matrices(self, names: Sequence[str], rows: int | None = None) -> Iterator[Array]:
        """Yield columns of numbers side by side, (rows, columns): faster than `chunks` for many of them.

        Parameters and errors are those of `chunks`.
        """
        return self._matrices(self._known(names), rows or CHUNK_ROWS)

    def _known(self, names: Sequence[str]) -> list[str]:
        for name in names:
            if name not in self.names:
                raise DataError(f"{self.path} has no {name!r}{did_you_mean(name, self.names)}")
        return list(names)

    def _matrices(self, names: list[str], rows: int) -> Iterator[Array]:
        for piece in self._chunks(names, rows):
            yield np.stack([np.asarray(piece[name]) for name in names], axis=1)

    @abstractmethod
    def _open(self, name: str | None) -> None:
        """Open the file for `opened` to close, and set `names`."""

    @abstractmethod
    def _num_rows(self, names: list[str]) -> int:
        """Return the number of rows of columns that exist."""

    @abstractmethod
    def _chunks(self, names: list[str], rows: int) -> Iterator[dict[str, Any]]:
        """Yield columns that exist."""


def chosen(path: DataFile, found: Sequence[str], name: str | None, *, what: str) -> str:
    """Return the table of a file that has several, or the only one.

    Raises
    ------
    DataError
        When there is none of that name, or several and none was named.
    """
    if name is not None:
        if name not in found:
            raise DataError(f"{path} has no {what} {name!r}{did_you_mean(name, found)}")
        return name
    if not found:
        raise DataError(f"{path} has no {what}")
    if len(found) > 1:
        raise DataError(
            f"{path} has several {what}s, of which the option 'tree' must name one: {', '.join(found)}"
        )
    return found[0]


def as_column(array: Any, name: str, path: DataFile) -> Array | Ragged:
    """Return an awkward array as a column: one number a row, or a list of numbers.

    Raises
    ------
    DataError
        When it has another shape.
    """
    import awkward as ak

    if array.ndim == 1:
        return np.asarray(ak.to_numpy(array))
    if array.ndim == 2:
        return Ragged.from_lengths(ak.to_numpy(ak.flatten(array)), ak.to_numpy(ak.num(array)))
    raise DataError(f"{path}: {name!r} holds lists of lists; expected numbers or lists of numbers")
