"""Ingest: files of a published format into a store, in pieces, with progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from hepfm.data.splits import Dealer, SplitDraw, check_split_name, format_fractions
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
        Paths, patterns such as ``jets_*.root``, folders, and lists of paths (``@list.txt``), each alone or as
        ``split=...``; without a split it is ``train``. See `hepfm.data.inputs.find_inputs`.
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
    first = inputs[0][1]
    schema, source = reader.schema(first), reader.source(first)
    for _, path in inputs[1:]:
        if reader.schema(path) != schema or reader.source(path) != source:
            raise DataError(f"{path} has other fields or classes than {first}; ingest them separately")
    total = _total(reader.num_rows(path) for _, path in inputs)
    default = DEFAULT_SPLIT if draw is None else None
    described = [_describe(named or default, path) for named, path in inputs]
    _refuse_twice(described)
    provenance: dict[str, Any] = {
        "ingested": format_name,
        "options": component.config.model_dump(mode="json"),
        "source": source,
        "files": described,
    }
    dealer = None if draw is None else Dealer(draw, schema.group)
    if dealer is not None:
        provenance["splits"] = [dealer.provenance()]
    if allow_shared:
        provenance["allow_shared"] = True
    plausibility, twins = Plausibility(schema), Twins(schema)
    with StoreWriter(output, schema, provenance=provenance) as writer, progress("ingest", total) as advance:
        for own, path in inputs:
            first_row = 0
            for columns in reader.chunks(path):
                rows = len(next(iter(columns.values())))
                names = (own or DEFAULT_SPLIT,) if dealer is None else dealer.draw.names
                codes = np.zeros(rows, np.int8) if dealer is None else dealer.codes(columns)
                writer.deal(columns, names, codes, where=str(path), first_row=first_row)
                plausibility.look(columns, path=path, first_row=first_row)
                twins.look(columns, names, codes, where=str(path), first_row=first_row)
                first_row += rows
                advance(rows, path.name)
        if dealer is not None:
            dealer.check()
        twins.check(
            allow_shared=allow_shared, cure="leave them out of one split, or keep them: --allow-shared"
        )
    plausibility.warn()
    return writer.path


class _Guarded:
    """A reader whose errors, of whatever kind its libraries raise on damaged files, name the file."""

    def __init__(self, reader: Reader, format_name: str) -> None:
        self._reader, self._format = reader, format_name

    def source(self, path: Path) -> dict[str, str]:
        with self._reading(path):
            return self._reader.source(path)

    def schema(self, path: Path) -> Schema:
        with self._reading(path):
            return self._reader.schema(path)

    def num_rows(self, path: Path) -> int | None:
        with self._reading(path):
            return self._reader.num_rows(path)

    def chunks(self, path: Path) -> Iterator[Columns]:
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
    def _reading(self, path: Path) -> Iterator[None]:
        with reading(path, what=f"a file of the format {self._format}"):
            yield


def _total(rows: Iterator[int | None]) -> int | None:
    """Return the number of rows of all files; None where one does not know its own."""
    total = 0
    for number in rows:
        if number is None:
            return None
        total += number
    return total


def _check_splits(inputs: Sequence[tuple[str | None, Path]], draw: SplitDraw | None) -> None:
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
    """Refuse the same bytes twice: rows would count twice, or be in two splits."""
    seen: dict[str, Mapping[str, Any]] = {}
    for file in described:
        other = seen.setdefault(file["sha256"], file)
        if other is not file:
            raise DataError(f"{_named(other)} and {_named(file)} are the same file; give it once")


def _named(file: Mapping[str, Any]) -> str:
    return str(file["name"]) + (f" (split {file['split']!r})" if file["split"] else "")


def _describe(split: str | None, path: Path) -> dict[str, Any]:
    return {"name": path.name, "split": split, "bytes": path.stat().st_size, "sha256": sha256(path)}
