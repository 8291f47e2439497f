"""The laws of a reader, on a file of its format; see `hepfm.data.readers.base.Reader`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged, concatenate
from hepfm.data import READERS
from hepfm.data.ingest import ingest
from hepfm.data.readers.base import Reader
from hepfm.data.store import Store
from hepfm.data.tables.kept import tables_kept_open
from hepfm.data.validate import prepare
from hepfm.testing.laws import hold


@dataclass(frozen=True)
class ReaderCase:
    """A reader with options, and a small file of its format.

    Attributes
    ----------
    name
        Name of the reader in the registry.
    path
        The file.
    options
        Options of the reader's config.
    """

    name: str
    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Reader:
        """Return the reader."""
        component = resolve_component(READERS, {**self.options, "name": self.name}, where="check_reader")
        reader: Reader = component.cls(component.config)
        return reader

    def columns(self) -> dict[str, Array | Ragged]:
        """Return all rows of the file, checked against the schema and in the types of the store."""
        reader = self.build()
        with tables_kept_open():
            schema = reader.schema(self.path)
            return concatenate(
                [prepare(schema, piece, where=self.name) for piece in reader.chunks(self.path)]
            )

    def ingest(self, path: Path, store: Path) -> Store:
        """Read a file into a new store."""
        return Store.open(ingest(self.name, [path], output=store, options=dict(self.options)))


def it_says_where_files_come_from(case: ReaderCase) -> None:
    """`source` gives a title, and texts only: it goes into the provenance of the store."""
    source = case.build().source(case.path)
    assert source.get("title"), f"no title in {source}"
    assert all(isinstance(text, str) for text in source.values()), f"not only texts: {source}"


def it_says_how_its_files_are_called(case: ReaderCase) -> None:
    """`endings`, small letters with the dot, has that of the file: the files of a folder are found by it."""
    endings = case.build().endings
    assert isinstance(endings, tuple), f"endings are a tuple of texts, not {endings!r}"
    assert all(one.startswith(".") and one == one.lower() for one in endings), f"odd endings: {endings}"
    assert case.path.name.lower().endswith(endings), f"{case.path.name} ends in none of {endings}"


def fields_are_described(case: ReaderCase) -> None:
    """Every field but the label has a description; momenta and energies have a unit."""
    schema = case.build().schema(case.path)
    silent = [each.name for each in schema if not each.description and each.name != schema.label]
    assert not silent, f"fields without a description: {', '.join(silent)}"
    ends = ("_pt", "_energy", "_mass")
    bare = [each.name for each in schema if each.name.endswith(ends) and each.unit == "1"]
    assert not bare, f"fields without a unit: {', '.join(bare)}"


def pieces_fit_the_schema_and_hold_every_row(case: ReaderCase) -> None:
    """Columns have the schema's names, types and ranges, constituents falling pt; no row is lost."""
    (rows,) = {len(column) for column in case.columns().values()}
    expected = case.build().num_rows(case.path)
    assert rows > 0, "chunks hold no rows"
    assert expected in (rows, None), f"chunks hold {rows} rows, num_rows says {expected}"


def reading_again_gives_the_same_rows(case: ReaderCase) -> None:
    """Nothing is drawn, and a reader keeps nothing of a file that it has read."""
    first, second = case.columns(), case.columns()
    for name, column in first.items():
        assert np.array_equal(_values(column), _values(second[name])), f"field {name!r} differs"


def a_store_holds_what_was_read(case: ReaderCase) -> None:
    """`hepfm ingest` writes a store that `hepfm data check` accepts, with the same columns."""
    columns = case.columns()
    with tempfile.TemporaryDirectory() as folder:
        store = case.ingest(case.path, Path(folder) / "store")
        assert sum(shard.rows for shard in store.verify()) == store.num_rows
        for name, column in store.read(store.schema.names()).items():
            assert np.array_equal(_values(column), _values(columns[name])), f"field {name!r} differs"


def other_files_are_refused(case: ReaderCase) -> None:
    """An empty file and one of random bytes are refused by name, and leave no store behind."""
    others = {"an empty file": b"", "a file of random bytes": np.random.default_rng(0).bytes(4096)}
    for what, content in others.items():
        with tempfile.TemporaryDirectory() as folder:
            path, store = Path(folder) / case.path.name, Path(folder) / "store"
            path.write_bytes(content)
            message = message_of_refusal(case, path, store)
            assert message is not None, f"{what} is read as if it were of the format"
            assert path.name in message, f"{what}: the message does not name the file: {message}"
            assert not store.exists(), f"{what} leaves a store behind"


def message_of_refusal(case: ReaderCase, path: Path, store: Path) -> str | None:
    """Return why a file is not read; None if it is."""
    try:
        case.ingest(path, store)
    except DataError as error:
        return str(error)
    return None


LAWS = (
    it_says_where_files_come_from,
    it_says_how_its_files_are_called,
    fields_are_described,
    pieces_fit_the_schema_and_hold_every_row,
    reading_again_gives_the_same_rows,
    a_store_holds_what_was_read,
    other_files_are_refused,
)


def check_reader(name: str, path: str | Path, **options: Any) -> None:
    """Hold a reader to its contract.

    Parameters
    ----------
    name
        Its name in the registry.
    path
        A small file of the format; write one in the test.
    **options
        Options of the reader.

    Raises
    ------
    AssertionError
        With every law that does not hold.
    """
    hold(LAWS, ReaderCase(name, Path(path), options), what=f"the reader {name!r}")


def _values(column: Array | Ragged) -> Array:
    return np.concatenate([column.offsets, column.values]) if isinstance(column, Ragged) else column
