"""Ingest: files of a published format into a store, in pieces, with progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError
from hepfm.core.files import sha256
from hepfm.core.guards import reading
from hepfm.core.log import progress
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data import READERS
from hepfm.data.inputs import find_inputs
from hepfm.data.plausibility import Plausibility
from hepfm.data.readers.base import Reader
from hepfm.data.remote import DataFile, RemoteFile
from hepfm.data.splits import Dealer, SplitDraw, check_split_name, format_fractions
from hepfm.data.tables.kept import tables_kept_open
from hepfm.data.twins import Twins
from hepfm.data.writer import StoreWriter

DEFAULT_SPLIT = "train"
"""Where the rows of a file go that names no split."""


def ingest(
    format_name: str,
    files: Sequence[str | Path],
    *,
    output: str | Path,
    options: Mapping[str, Any] | None = None,
    split: Mapping[str, float] | None = None,
    seed: int = 0,
    allow_shared: bool = False,
) -> Path:
    """Read files into a new store and return its path.

    Parameters
    ----------
    format_name
        A reader, e.g. ``"jetclass"`` or ``"top_tagging"``.
    files
        Paths, URLs, patterns such as ``jets_*.root``, folders, and lists of paths and URLs (``@list.txt``),
        each alone or as ``split=...``; without a split it is ``train``. See `hepfm.data.inputs.find_inputs`.
    output
        Directory of the store.
    options
        What the files do not tell about themselves, by the names of the reader's options.
    split
        Fractions of random splits, e.g. ``{"train": 0.8, "val": 0.1, "test": 0.1}``: by group where the
        schema has the role `group`, else by row. Files then have no split of their own. The order of rows is
        kept, and where a row goes depends only on `seed` and its group or its number in all files together.
    seed
        Of the random splits.
    allow_shared
        Keep rows that are in two splits, which is refused otherwise; see `hepfm.data.twins`.

    Raises
    ------
    ConfigError
        When the reader has no such option.
    DataError
        When a file is missing, is not of this format, or its classes are not those of the first; when
        fractions do not sum to 1, a split gets no row, or a file has a split besides; when a row is in two
        splits.
    """
    draw = None if split is None else SplitDraw(split, seed)
    component = resolve_component(READERS, {**(options or {}), "name": format_name}, where="ingest")
    reader = _Guarded(component.cls(component.config), format_name)
    inputs = find_inputs(files, component.cls.endings)
    if not inputs:
        raise DataError("no files to read")
    _check_splits(inputs, draw)
    with tables_kept_open():
        content = _looked_at(reader, [path for _, path in inputs])
        default = DEFAULT_SPLIT if draw is None else None
        described = [_describe(named or default, path) for named, path in inputs]
        _refuse_twice(described)
        provenance: dict[str, Any] = {
            "ingested": format_name,
            "options": component.config.model_dump(mode="json"),
            "source": content.source,
            "files": described,
        }
        dealer = None if draw is None else Dealer(draw, content.schema.group)
        if dealer is not None:
            provenance["splits"] = [dealer.provenance()]
        if allow_shared:
            provenance["allow_shared"] = True
        writer = StoreWriter(output, content.schema, provenance=provenance)
        _write(reader, inputs, writer, dealer, rows=content.rows, allow_shared=allow_shared)
        return writer.path


@dataclass(frozen=True)
class _Content:
    """What all files together hold."""

    schema: Schema
    source: dict[str, str]
    rows: int | None


def _looked_at(reader: _Guarded, paths: Sequence[DataFile]) -> _Content:
    """Return what files hold; raise `DataError` when they differ. Each file is asked all at once."""
    first, rows = None, []
    for path in paths:
        schema, source = reader.schema(path), reader.source(path)
        first = first or (schema, source)
        if (schema, source) != first:
            raise DataError(f"{path} has other fields or classes than {paths[0]}; ingest them separately")
        rows.append(reader.num_rows(path))
    assert first is not None
    return _Content(*first, _total(rows))


def _write(
    reader: _Guarded,
    inputs: Sequence[tuple[str | None, DataFile]],
    writer: StoreWriter,
    dealer: Dealer | None,
    *,
    rows: int | None,
    allow_shared: bool,
) -> None:
    """Write the rows of files into a store, looking at them on their way."""
    plausibility, twins = Plausibility(writer.schema), Twins(writer.schema)
    with writer, progress("ingest", rows) as advance:
        for own, path in inputs:
            first_row = 0
            for columns in reader.chunks(path):
                number = len(next(iter(columns.values())))
                names = (own or DEFAULT_SPLIT,) if dealer is None else dealer.draw.names
                codes = np.zeros(number, np.int8) if dealer is None else dealer.codes(columns)
                writer.deal(columns, names, codes, where=str(path), first_row=first_row)
                plausibility.look(columns, path=path, first_row=first_row)
                twins.look(columns, names, codes, where=str(path), first_row=first_row)
                first_row += number
                advance(number, path.name)
        if dealer is not None:
            dealer.check()
        twins.check(
            allow_shared=allow_shared, cure="leave them out of one split, or keep them: --allow-shared"
        )
    plausibility.warn()


class _Guarded:
    """A reader whose errors, of whatever kind its libraries raise on damaged files, name the file."""

    def __init__(self, reader: Reader, format_name: str) -> None:
        self._reader, self._format = reader, format_name

    def source(self, path: DataFile) -> dict[str, str]:
        with self._reading(path):
            return self._reader.source(path)

    def schema(self, path: DataFile) -> Schema:
        with self._reading(path):
            return self._reader.schema(path)

    def num_rows(self, path: DataFile) -> int | None:
        with self._reading(path):
            return self._reader.num_rows(path)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield pieces; only what the reader does is guarded, not what is done with them."""
        with self._reading(path):
            pieces = iter(self._reader.chunks(path))
        while True:
            with self._reading(path):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    @contextmanager
    def _reading(self, path: DataFile) -> Iterator[None]:
        with reading(str(path), what=f"a file of the format {self._format}"):
            yield


def _total(rows: Sequence[int | None]) -> int | None:
    """Return the number of rows of all files; None where one does not know its own."""
    total = 0
    for number in rows:
        if number is None:
            return None
        total += number
    return total


def _check_splits(inputs: Sequence[tuple[str | None, DataFile]], draw: SplitDraw | None) -> None:
    """Refuse odd names of splits, and any where splits are drawn."""
    named = {split: path for split, path in inputs if split is not None}
    for split, path in named.items():
        check_split_name(split)
        if draw is not None:
            raise DataError(
                f"{split}={path} names a split, and all files together are to be split at random "
                f"({format_fractions(draw.fractions)}); give one of both"
            )


def _refuse_twice(described: Sequence[Mapping[str, Any]]) -> None:
    """Refuse the same bytes, or the same URL, twice: rows would count twice, or be in two splits."""
    seen: dict[str, Mapping[str, Any]] = {}
    for file in described:
        other = seen.setdefault(file["sha256"] or file["url"], file)
        if other is not file:
            raise DataError(f"{_named(other)} and {_named(file)} are the same file; give it once")


def _named(file: Mapping[str, Any]) -> str:
    return str(file["name"]) + (f" (split {file['split']!r})" if file["split"] else "")


def _describe(split: str | None, path: DataFile) -> dict[str, Any]:
    """Return what the provenance keeps of a file. Hashes of remote ones would read all of it once more."""
    if isinstance(path, RemoteFile):
        kept = {"bytes": path.size, "sha256": None, "url": str(path), "version": path.version}
    else:
        kept = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    return {"name": path.name, "split": split, **kept}
