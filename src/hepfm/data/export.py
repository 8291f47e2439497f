"""Export: rows of a store as files that other tools of the field read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import atomic_path
from hepfm.core.log import progress
from hepfm.core.ragged import Columns
from hepfm.core.registry import Registry
from hepfm.core.schema import Schema
from hepfm.data.sinks import open_sink
from hepfm.data.store import Store

EXPORTERS = Registry(
    "exporter",
    {"jetclass": ("hepfm.data.jetclass_format:JetClassFormat", "JetClass's branches in its order and types")},
)

CHUNK_ROWS = 20_000


class Exporter(Protocol):
    """Turns columns of a store into columns of a published format. Built by ``cls(schema)``."""

    def __init__(self, schema: Schema) -> None: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Fields of the store that are needed."""

    @property
    def branches(self) -> dict[str, str]:
        """NumPy type of each branch, in file order."""

    def convert(self, columns: Columns) -> Columns:
        """Return the branches of some rows."""


def export_store(
    store: Store, output: str | Path, *, format_name: str = "jetclass", split: str | None = None
) -> Path:
    """Write rows of a store as one ROOT or Parquet file, by the ending of `output`; return its path.

    Parameters
    ----------
    store
        What to export.
    output
        File to write, ``.root`` (tree ``tree``, LZ4) or ``.parquet``; it appears when it is complete.
    format_name
        An exporter.
    split
        Rows of one split; all by default.

    Raises
    ------
    DataError
        When the store lacks fields that the format has, or the split, or has no rows.
    """
    path = Path(output)
    if path.suffix not in (".root", ".parquet"):
        raise ConfigError(f"cannot tell the format of {path}: its name must end in .root or .parquet")
    exporter: Exporter = EXPORTERS.load(format_name)(store.schema)
    rows = store.split(split) if split else range(store.num_rows)
    if not len(rows):
        raise DataError(f"{store.path} has no rows to export")
    with (
        atomic_path(path) as temporary,
        open_sink(temporary, path.suffix, exporter.branches) as sink,
        progress("export", len(rows)) as advance,
    ):
        for columns in _chunks(store, exporter, rows):
            sink.write(exporter.convert(columns))
            advance(len(next(iter(columns.values()))))
    return path


def _chunks(store: Store, exporter: Exporter, rows: range) -> Iterator[dict[str, Any]]:
    for start in range(rows.start, rows.stop, CHUNK_ROWS):
        yield store.read(exporter.columns, range(start, min(start + CHUNK_ROWS, rows.stop)))
