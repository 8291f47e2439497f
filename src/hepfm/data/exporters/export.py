"""Export: rows of a store as files that other tools of the field read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from hepfm.core.config import Config, resolve_component
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import atomic_path, refuse_existing
from hepfm.core.log import logger, progress
from hepfm.core.ragged import Columns
from hepfm.data import EXPORTERS
from hepfm.data.exporters.sinks import Sink
from hepfm.data.store import Store


class Exporter(Protocol):
    """Turns columns of a store into arrays of a published format. Built by ``cls(config, schema)``."""

    Config: ClassVar[type[Config]]
    """Options of the format."""

    endings: ClassVar[tuple[str, ...]]
    """How the name of the file must end; empty for formats that are a folder."""

    chunk_rows: ClassVar[int]
    """Rows converted at once."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Fields of the store that are needed."""

    def open(self, path: Path, ending: str) -> AbstractContextManager[Sink]:
        """Open what is written, at a temporary path."""

    def convert(self, columns: Columns) -> Columns:
        """Return the arrays of some rows."""


def export_store(
    store: Store,
    output: str | Path,
    *,
    format_name: str = "jetclass",
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write rows of a store in a published format; return the path.

    Parameters
    ----------
    store
        What to export.
    output
        File to write, of one of the format's endings, or folder; it appears when it is complete.
    format_name
        An exporter.
    split
        Rows of one split; all by default.
    options
        Options of the exporter.
    overwrite
        Replace a file that is there already; a folder never is.

    Raises
    ------
    ConfigError
        When the name of the output does not fit the format, or it has no such option.
    DataError
        When the store lacks fields that the format has, or the split, or has no rows.
    """
    path = Path(output)
    component = resolve_component(EXPORTERS, {**(options or {}), "name": format_name}, where="export")
    _check_name(path, format_name, component.cls.endings)
    if component.cls.endings:
        refuse_existing(path, overwrite=overwrite)
    exporter: Exporter = component.cls(component.config, store.schema)
    rows = store.split(split) if split else range(store.num_rows)
    if not len(rows):
        raise DataError(f"{store.path} has no rows to export")
    weight = store.schema.weight
    if weight is not None and weight not in exporter.columns:
        logger.warning("%s has no place for event weights: %s is not written", format_name, weight)
    with (
        atomic_path(path) as temporary,
        exporter.open(temporary, path.suffix) as sink,
        progress("export", len(rows)) as advance,
    ):
        for columns in _chunks(store, exporter, rows):
            sink.write(exporter.convert(columns))
            advance(len(next(iter(columns.values()))))
    return path


def _check_name(path: Path, format_name: str, endings: tuple[str, ...]) -> None:
    if endings and path.suffix not in endings:
        raise ConfigError(
            f"cannot write {format_name} as {path}: its name must end in {' or '.join(endings)}"
        )
    if not endings and (path.exists() or path.suffix):
        raise ConfigError(
            f"cannot write {format_name} as {path}: this is a folder; name a new one, without an ending"
        )


def _chunks(store: Store, exporter: Exporter, rows: range) -> Iterator[dict[str, Any]]:
    for start in range(rows.start, rows.stop, exporter.chunk_rows):
        yield store.read(exporter.columns, range(start, min(start + exporter.chunk_rows, rows.stop)))
