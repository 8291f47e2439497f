"""Ingest: files of a published format into a store, in pieces, with progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError
from hepfm.core.files import sha256
from hepfm.core.guards import reading, regular_file
from hepfm.core.log import progress
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data import READERS
from hepfm.data.plausibility import Plausibility
from hepfm.data.readers.base import Reader
from hepfm.data.writer import StoreWriter


def ingest(
    format_name: str,
    files: Sequence[str | Path],
    *,
    output: str | Path,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Read files into a new store and return its path.

    Parameters
    ----------
    format_name
        A reader, e.g. ``"jetclass"`` or ``"top_tagging"``.
    files
        Paths, each alone or as ``split=path``; without a split it is ``train``.
    output
        Directory of the store.
    options
        What the files do not tell about themselves, by the names of the reader's options.

    Raises
    ------
    ConfigError
        When the reader has no such option.
    DataError
        When a file is missing, is not of this format, or its classes are not those of the first.
    """
    component = resolve_component(READERS, {**(options or {}), "name": format_name}, where="ingest")
    reader = _Guarded(component.cls(component.config), format_name)
    inputs = [_split_and_path(str(file)) for file in files]
    if not inputs:
        raise DataError("no files to read")
    first = inputs[0][1]
    schema, source = reader.schema(first), reader.source(first)
    for _, path in inputs[1:]:
        if reader.schema(path) != schema or reader.source(path) != source:
            raise DataError(f"{path} has other fields or classes than {first}; ingest them separately")
    total = sum(reader.num_rows(path) for _, path in inputs)
    described = [_describe(split, path) for split, path in inputs]
    _refuse_twice(described)
    provenance = {
        "ingested": format_name,
        "options": component.config.model_dump(mode="json"),
        "source": source,
        "files": described,
    }
    plausibility = Plausibility(schema)
    with StoreWriter(output, schema, provenance=provenance) as writer, progress("ingest", total) as advance:
        for split, path in inputs:
            first_row = 0
            for columns in reader.chunks(path):
                writer.write(columns, split=split, where=str(path), first_row=first_row)
                plausibility.look(columns, path=path, first_row=first_row)
                rows = len(next(iter(columns.values())))
                first_row += rows
                advance(rows, path.name)
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

    def num_rows(self, path: Path) -> int:
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


def _split_and_path(text: str) -> tuple[str, Path]:
    split, equals, path = text.partition("=")
    with reading(text):
        found = ("train", Path(text)) if not equals or Path(text).exists() else (split, Path(path))
        if not found[1].exists():
            raise DataError(f"no file {found[1]}")
    return found[0], regular_file(found[1])


def _refuse_twice(described: Sequence[Mapping[str, Any]]) -> None:
    """Refuse the same bytes twice: rows would count twice, or be in two splits."""
    seen: dict[str, Mapping[str, Any]] = {}
    for file in described:
        other = seen.setdefault(file["sha256"], file)
        if other is not file:
            raise DataError(
                f"{other['name']} (split {other['split']!r}) and {file['name']} (split {file['split']!r}) "
                "are the same file; give it once"
            )


def _describe(split: str, path: Path) -> dict[str, Any]:
    return {"name": path.name, "split": split, "bytes": path.stat().st_size, "sha256": sha256(path)}
