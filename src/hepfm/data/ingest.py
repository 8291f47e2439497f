"""Ingest: files of a published format into a store, in pieces, with progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError
from hepfm.core.files import sha256
from hepfm.core.log import progress
from hepfm.data import READERS
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
    reader: Reader = component.cls(component.config)
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
    provenance = {
        "ingested": format_name,
        "options": component.config.model_dump(mode="json"),
        "source": source,
        "files": described,
    }
    with StoreWriter(output, schema, provenance=provenance) as writer, progress("ingest", total) as advance:
        for split, path in inputs:
            for columns in reader.chunks(path):
                writer.write(columns, split=split)
                advance(len(next(iter(columns.values()))), path.name)
    return writer.path


def _split_and_path(text: str) -> tuple[str, Path]:
    split, equals, path = text.partition("=")
    found = ("train", Path(text)) if not equals or Path(text).exists() else (split, Path(path))
    if not found[1].is_file():
        raise DataError(f"no file {found[1]}")
    return found


def _describe(split: str, path: Path) -> dict[str, Any]:
    return {"name": path.name, "split": split, "bytes": path.stat().st_size, "sha256": sha256(path)}
