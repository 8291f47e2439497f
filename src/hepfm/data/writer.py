"""Writing stores: checked, in shards of bounded size, visible only when complete."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.files import atomic_path, sha256, write_json
from hepfm.core.ragged import Array, Columns, Ragged, concatenate, take_rows
from hepfm.core.schema import Schema
from hepfm.data.arrow import write_shard
from hepfm.data.groups import check_whole
from hepfm.data.manifest import MANIFEST, Manifest, ShardInfo
from hepfm.data.validate import prepare

SHARD_BYTES = 128 * 2**20


class StoreWriter:
    """Write a store; a context manager, after whose regular end the store is there, whole.

    Rows are checked as they come (`hepfm.data.validate`) and written in shards of about `shard_bytes`; no
    more than one shard per split is held in memory. When the block raises or the process is killed, nothing
    appears at `path`, and a complete store that stood there stays.

    Parameters
    ----------
    path
        Directory to make.
    schema
        The columns.
    provenance
        Where the data come from; JSON-ready.
    overwrite
        Replace a store that is already there; otherwise that is a `DataError`.
    shard_bytes
        Size of a shard in bytes.

    Examples
    --------
    ::

        with StoreWriter(path, schema, provenance={"source": "simulated"}) as writer:
            writer.write(columns, split="train")
    """

    def __init__(
        self,
        path: str | Path,
        schema: Schema,
        *,
        provenance: Mapping[str, Any],
        overwrite: bool = False,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self.path = Path(path)
        self.schema = schema
        self.provenance = provenance
        self.shard_bytes = shard_bytes
        self.num_rows = 0
        self._pending: dict[str, list[dict[str, Array | Ragged]]] = {}
        self._shards: dict[str, list[ShardInfo]] = {}
        self._groups: dict[str, list[Array]] = {}
        self._stack = ExitStack()
        if self.path.exists() and not (overwrite and (self.path / MANIFEST).exists()):
            raise DataError(f"{self.path} exists already; remove it or choose another name for the store")

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(atomic_path(self.path))
        self._folder.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with self._stack:
            if error is not None:
                return self._stack.__exit__(kind, error, trace)
            self._finish()
        return None

    def write(self, columns: Columns, *, split: str = "train", where: str = "", first_row: int = 0) -> None:
        """Add rows to a split.

        Parameters
        ----------
        columns
            The rows.
        split
            The split.
        where, first_row
            Where the rows come from, and the number that the first of them has there, for messages.

        Raises
        ------
        DataError
            When a field is unknown or missing, lengths differ, a number is not finite, a class is unknown, an
            angle is out of range, or constituents are not in falling order of pt. At the end of the block,
            when a group has rows in two splits.
        """
        if not re.fullmatch(r"[a-z0-9_]+", split):
            raise DataError(f"split {split!r}: a split is named with small letters, digits and _")
        where = where or f"writing {self.path}, split {split}"
        self._add(split, prepare(self.schema, columns, where=where, first_row=first_row))

    def deal(
        self, columns: Columns, splits: Sequence[str], codes: Array, *, where: str = "", first_row: int = 0
    ) -> None:
        """Add rows to several splits, which keep their order.

        Parameters
        ----------
        columns
            The rows.
        splits
            Names of the splits.
        codes
            Place in `splits` of the split of each row, (rows,).
        where, first_row
            As for `write`.

        Raises
        ------
        DataError
            As for `write`.
        """
        where = where or f"writing {self.path}"
        prepared = prepare(self.schema, columns, where=where, first_row=first_row)
        for code, split in enumerate(splits):
            self._add(split, prepared if len(splits) == 1 else take_rows(prepared, codes == code))

    def _add(self, split: str, prepared: dict[str, Array | Ragged]) -> None:
        self._shards.setdefault(split, [])  # splits stand in the order in which they were first written to
        if self.schema.group:
            self._groups.setdefault(split, []).append(np.unique(np.asarray(prepared[self.schema.group])))
        for piece in _pieces(prepared, self.shard_bytes):
            waiting = self._pending.get(split, [])
            if waiting and sum(map(_bytes, waiting)) + _bytes(piece) > self.shard_bytes:
                self._flush(split)
            self._pending.setdefault(split, []).append(piece)

    def _flush(self, split: str) -> None:
        parts = self._pending.pop(split, [])
        columns = concatenate(parts) if parts else {}
        rows = len(next(iter(columns.values()), ()))
        if rows == 0:
            return
        shards = self._shards[split]
        file = self._folder / f"{split}-{len(shards):05d}.arrow"
        write_shard(file, self.schema, columns)
        shards.append(ShardInfo(file.name, split, rows, file.stat().st_size, sha256(file)))
        self.num_rows += rows

    def _finish(self) -> None:
        if self.schema.group:
            groups = {split: np.concatenate(parts) for split, parts in self._groups.items()}
            check_whole(groups, field=self.schema.group, where=f"writing {self.path}")
        for split in list(self._pending):
            self._flush(split)
        shards = tuple(shard for shards in self._shards.values() for shard in shards)
        write_json(self._folder / MANIFEST, Manifest(self.schema, shards, self.provenance).to_dict())


def write_store(
    path: str | Path, schema: Schema, shards: Iterable[tuple[str, Columns]], *, provenance: Mapping[str, Any]
) -> Path:
    """Write a store from ``(split, columns)`` pairs and return its path; see `StoreWriter`."""
    with StoreWriter(path, schema, provenance=provenance) as writer:
        for split, columns in shards:
            writer.write(columns, split=split)
    return writer.path


def _bytes(columns: Columns) -> int:
    return sum(
        column.values.nbytes + 4 * len(column.offsets) if isinstance(column, Ragged) else column.nbytes
        for column in columns.values()
    )


def _pieces(columns: dict[str, Array | Ragged], limit: int) -> Iterable[dict[str, Array | Ragged]]:
    rows = len(next(iter(columns.values())))
    count = max(1, -(-_bytes(columns) // limit))
    if count == 1:
        yield columns
        return
    for index in np.array_split(np.arange(rows), min(count, max(rows, 1))):
        first, last = int(index[0]), int(index[-1]) + 1
        yield {name: slice_rows(column, first, last) for name, column in columns.items()}


def slice_rows(column: Array | Ragged, start: int, stop: int) -> Array | Ragged:
    """Return rows ``[start, stop)`` of a column as views."""
    if not isinstance(column, Ragged):
        return column[start:stop]
    offsets = column.offsets[start : stop + 1]
    return Ragged(column.values[offsets[0] : offsets[-1]], offsets - offsets[0])
