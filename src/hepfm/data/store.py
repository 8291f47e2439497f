"""Store: a directory of Arrow IPC files and a manifest, read by row numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.files import sha256
from hepfm.core.guards import member, reading
from hepfm.core.ragged import Array, Ragged, take_rows
from hepfm.core.schema import Schema
from hepfm.data.arrow import view_shard
from hepfm.data.gather import Shard, take
from hepfm.data.groups import check_whole, read_groups
from hepfm.data.manifest import Manifest, ShardInfo, read_manifest
from hepfm.data.mapped_file import map_file
from hepfm.data.row_source import Index, RowSource
from hepfm.data.validate import check

_OPEN_SHARDS = 4096
"""Shards kept mapped; none of them holds a file descriptor."""


class Store(RowSource):
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

    @property
    def name(self) -> str:
        """The path of its directory."""
        return str(self.path)

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
    def provenance(self) -> Mapping[str, Any]:
        """Generator settings, seeds, versions, source and licence, as the manifest has them."""
        return self.manifest.provenance

    @property
    def fingerprint(self) -> str:
        """Short hash of schema and contents."""
        return self.manifest.fingerprint

    def with_schema(self, schema: Schema) -> Self:
        """Return the same rows under a schema with other roles; nothing is written."""
        return type(self)(self.path, replace(self.manifest, schema=schema))

    def _take(self, names: list[str], index: range | Index) -> dict[str, Array | Ragged]:
        if isinstance(index, range):
            return self._copy(names, self._cut(index.start, index.stop))
        shards = np.searchsorted(self._starts, index, side="right") - 1
        order = np.argsort(shards, kind="stable")
        numbers, first = np.unique(shards[order], return_index=True)
        pieces = np.split(index[order], first[1:])
        locals_ = [piece - self._starts[number] for number, piece in zip(numbers, pieces, strict=True)]
        columns = self._copy(names, list(zip(numbers.tolist(), locals_, strict=True)))
        return columns if (np.diff(shards) >= 0).all() else take_rows(columns, np.argsort(order))

    def verify(self) -> Iterator[ShardInfo]:
        """Compare every shard's hash and contents with the manifest and the rules; yield it when it is good.

        Raises
        ------
        DataError
            At the first shard that is altered or breaks a rule of `hepfm.data.validate`; at the end, when a
            group has rows in two splits.
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
        if self.schema.group:
            groups = {name: read_groups(self, rows) for name, rows in self.splits.items()}
            check_whole(groups, field=self.schema.group, where=self.name)

    def _cut(self, start: int, stop: int) -> list[tuple[int, slice]]:
        """Cut a range of rows into a slice per shard."""
        numbers = np.flatnonzero((self._starts[:-1] < stop) & (self._starts[1:] > start))
        first, last = self._starts[numbers], self._starts[numbers + 1]
        lower, upper = np.maximum(start, first) - first, np.minimum(stop, last) - first
        slices = [slice(low, high) for low, high in zip(lower.tolist(), upper.tolist(), strict=True)]
        return list(zip(numbers.tolist(), slices, strict=True))

    def _copy(
        self, names: list[str], wanted: Sequence[tuple[int, slice | Index]]
    ) -> dict[str, Array | Ragged]:
        return take([(self._shard(number), rows) for number, rows in wanted], names)

    def _open_shard(self, number: int) -> Shard:
        info = self.manifest.shards[number]
        path = _checked_file(self.path, info)
        with reading(path):
            data, release = map_file(path)
            return Shard(view_shard(data, self.schema, info.rows, path=path), release)


def open_rows(data: str | Path | RowSource) -> RowSource:
    """Return a source as it is, and the store that a path leads to."""
    return data if isinstance(data, RowSource) else Store.open(data)


def _checked_file(folder: Path, shard: ShardInfo) -> Path:
    """Return the path of a shard; refuse names and links that leave the store, and another size."""
    path = folder / shard.file
    if not path.exists() and "/" not in shard.file:
        raise DataError(f"the store lacks its file {path}; restore it or make the store again")
    size = member(folder, shard.file).stat().st_size
    if size != shard.bytes:
        raise DataError(f"{path} has {size} bytes, its manifest says {shard.bytes}; truncated or altered")
    return path
