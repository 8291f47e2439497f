"""Tables that stay open while a file is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from format_files import MAP, write_mapped

from hepfm.data.ingest import ingest
from hepfm.data.tables import kept
from hepfm.data.tables.kept import tables_kept_open
from hepfm.data.tables.open import open_table
from hepfm.data.tables.parquet import ParquetTable

pytest.importorskip("uproot", reason="uproot is not installed")


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were opened."""
    opened: list[Path] = []
    original = ParquetTable._open

    def noted(self: ParquetTable, name: str | None) -> None:
        opened.append(self.path)
        original(self, name)

    monkeypatch.setattr(ParquetTable, "_open", noted)
    return opened


def test_an_ingest_opens_each_file_once(tmp_path: Path, openings: list[Path]) -> None:
    files = [write_mapped(tmp_path / f"{number}.parquet", rows=5 + number) for number in range(3)]
    ingest("mapping", files, output=tmp_path / "store", options=MAP)
    assert sorted(openings) == files


def test_the_one_that_was_used_longest_ago_is_closed(
    tmp_path: Path, openings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST", 1)
    first, second = (write_mapped(tmp_path / f"{name}.parquet") for name in "ab")
    with tables_kept_open():
        with open_table(first) as table, tables_kept_open():  # a block within a block keeps to the outer one
            assert table.stays_open
        with open_table(second):
            assert table._file.closed
        with open_table(first) as again:
            assert not again._file.closed
    assert again._file.closed
    assert openings == [first, second, first]


def test_a_changed_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with tables_kept_open():
        for rows in (4, 7):
            with open_table(write_mapped(path, rows)) as table:
                assert table.num_rows(["run"]) == rows


def test_without_the_block_a_table_is_closed(tmp_path: Path) -> None:
    with open_table(write_mapped(tmp_path / "a.parquet")) as table:
        pass
    assert table._file.closed
