"""Store: a directory of Arrow IPC files and a manifest, read by row numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.files import sha256
from hepfm.core.guards import member, reading
from hepfm.core.ragged import Array, Ragged, take_rows
from hepfm.core.schema import Schema
from hepfm.data.arrow import view_shard
from hepfm.data.gather import Shard, take
from hepfm.data.manifest import Manifest, ShardInfo, read_manifest
from hepfm.data.mapping import map_file
from hepfm.data.validate import check

Rows = npt.NDArray[Any] | Sequence[int] | range | slice | None
"""Which rows: numbers in any order, a range, a slice, or None for all."""

_OPEN_SHARDS = 4096
"""Shards kept mapped; none of them holds a file descriptor."""


class Store:
    """Rows (jets, events, showers) in Arrow files. Open one with `Store.open`.

    Reading gives copies and leaves no pages of the files mapped, so that resident memory does not grow with
    the size of the store.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._starts = np.cumsum([0, *(shard.rows for shard in manifest.shards)])
        self._shard = functools.lru_cache(maxsize=_OPEN_SHARDS)(self._open_shard)

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Open a store; raise `DataError` when it is missing, incomplete, or of a newer format.

        Sizes of all files are compared with the manifest; `verify` compares the contents.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        for shard in manifest.shards:
            _checked_file(folder, shard)
        return cls(folder, manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.path, self.manifest)

    def __len__(self) -> int:
        return self.num_rows

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self.manifest.schema

    @property
    def num_rows(self) -> int:
        """Number of rows of all splits."""
        return int(self._starts[-1])

    @property
    def splits(self) -> dict[str, range]:
        """Row numbers of each split; ``np.asarray(store.splits["train"])`` gives an array."""
        return self.manifest.splits()

    @property
    def fingerprint(self) -> str:
        """Short hash of schema and contents."""
        return self.manifest.fingerprint

    def split(self, name: str) -> range:
        """Return the row numbers of a split; raise `DataError` when there is none of that name."""
        if name not in self.splits:
            raise DataError(f"{self.path} has no split {name!r}{did_you_mean(name, self.splits)}")
        return self.splits[name]

    def read(self, names: Iterable[str], rows: Rows = None) -> dict[str, Array | Ragged]:
        """Return columns of the given rows, in the given order.

        Parameters
        ----------
        names
            Fields to read.
        rows
            Row numbers, a range, a slice, or None for all.
        """
        names = list(names)
        for name in names:
            self.schema[name]
        index = self.index(rows)
        if len(index) == 0:
            return self._empty(names)
        if isinstance(index, range):
            return self._copy(names, self._cut(index.start, index.stop))
        shards = np.searchsorted(self._starts, index, side="right") - 1
        order = np.argsort(shards, kind="stable")
        numbers, first = np.unique(shards[order], return_index=True)
        pieces = np.split(index[order], first[1:])
        locals_ = [piece - self._starts[number] for number, piece in zip(numbers, pieces, strict=True)]
        columns = self._copy(names, list(zip(numbers.tolist(), locals_, strict=True)))
        return columns if (np.diff(shards) >= 0).all() else take_rows(columns, np.argsort(order))

    def lengths(self, level: str, rows: Rows = None) -> npt.NDArray[np.int64]:
        """Return the number of entries of a deeper level (``"constituent"``, ...) in each row, int64."""
        name = next((field.name for field in self.schema if field.level == level), None)
        if name is None or not self.schema.is_ragged(name):
            raise DataError(f"{self.path} has no lists of level {level!r}")
        found = self.read([name], rows)[name]
        assert isinstance(found, Ragged)
        return found.lengths

    def verify(self) -> Iterator[ShardInfo]:
        """Compare every shard's hash and contents with the manifest and the rules; yield it when it is good.

        Raises
        ------
        DataError
            At the first shard that is altered or breaks a rule of `hepfm.data.validate`.
        """
        for number, shard in enumerate(self.manifest.shards):
            path = self.path / shard.file
            if sha256(path) != shard.sha256:
                raise DataError(f"{path} was altered: its SHA-256 is not the manifest's; restore it")
            everything = slice(0, shard.rows)
            columns = {
                name: column
                for field in self.schema
                for name, column in self._copy([field.name], [(number, everything)]).items()
            }
            check(self.schema, columns, where=str(path))
            yield shard

    def index(self, rows: Rows) -> range | npt.NDArray[np.int64]:
        """Return rows as a range or as an int64 array; raise `DataError` when the store lacks some."""
        if rows is None or isinstance(rows, slice):
            rows = range(self.num_rows)[rows if rows is not None else slice(None)]
        if isinstance(rows, range) and rows.step == 1:
            index: range | npt.NDArray[np.int64] = rows
            low, high = (rows.start, rows.stop - 1) if len(rows) else (0, -1)
        else:
            index = np.asarray(rows)
            if index.dtype.kind not in "iu" and index.size:
                raise DataError(f"rows are whole numbers, got {index.dtype}")
            index = index.astype(np.int64, copy=False)
            low, high = (int(index.min()), int(index.max())) if index.size else (0, -1)
        if low < 0 or high >= self.num_rows:
            raise DataError(f"rows {low} to {high} asked for, {self.path} has {self.num_rows}")
        return index

    def _cut(self, start: int, stop: int) -> list[tuple[int, slice]]:
        """Cut a range of rows into a slice per shard."""
        numbers = np.flatnonzero((self._starts[:-1] < stop) & (self._starts[1:] > start))
        first, last = self._starts[numbers], self._starts[numbers + 1]
        lower, upper = np.maximum(start, first) - first, np.minimum(stop, last) - first
        slices = [slice(low, high) for low, high in zip(lower.tolist(), upper.tolist(), strict=True)]
        return list(zip(numbers.tolist(), slices, strict=True))

    def _copy(
        self, names: list[str], wanted: Sequence[tuple[int, slice | npt.NDArray[np.int64]]]
    ) -> dict[str, Array | Ragged]:
        return take([(self._shard(number), rows) for number, rows in wanted], names)

    def _open_shard(self, number: int) -> Shard:
        info = self.manifest.shards[number]
        path = _checked_file(self.path, info)
        with reading(path):
            data, release = map_file(path)
            return Shard(view_shard(data, self.schema, info.rows, path=path), release)

    def _empty(self, names: list[str]) -> dict[str, Array | Ragged]:
        return {
            name: Ragged(values, np.zeros(1, np.int64)) if self.schema.is_ragged(name) else values
            for name in names
            for values in [np.zeros(0, self.schema[name].dtype)]
        }


def _checked_file(folder: Path, shard: ShardInfo) -> Path:
    """Return the path of a shard; refuse names and links that leave the store, and another size."""
    path = folder / shard.file
    if not path.exists() and "/" not in shard.file:
        raise DataError(f"the store lacks its file {path}; restore it or make the store again")
    size = member(folder, shard.file).stat().st_size
    if size != shard.bytes:
        raise DataError(f"{path} has {size} bytes, its manifest says {shard.bytes}; truncated or altered")
    return path
