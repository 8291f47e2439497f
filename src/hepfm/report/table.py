"""Tables: one list of columns gives the cells of the page and the file of full numbers."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Generic, Literal, TypeVar

Cell = str | int | float | None
Row = TypeVar("Row")


@dataclass(frozen=True)
class Numbers:
    """A header and rows of equal length; None is an empty cell."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_csv(self) -> str:
        """Return RFC 4180 text with full precision; no cell is a formula to a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([_harmless(name) for name in self.header])
        writer.writerows([[_harmless(cell) for cell in row] for row in self.rows])
        return text.getvalue()

    @property
    def base64(self) -> str:
        """The CSV text for a link that saves it from within the page."""
        return base64.b64encode(self.to_csv().encode()).decode()


def _harmless(cell: Cell) -> str | int | float:
    """Return a cell of a CSV file; an apostrophe keeps spreadsheets from running a text as a formula.

    Names of models, arms and classes come from users and from files of others.
    """
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", " ")  # which would end the row for some readers
    return f"'{text}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not _is_number(cell) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def make_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Numbers:
    """Build the numbers of a figure; every row is as long as the header, whose names differ."""
    if len(set(header)) < len(header):
        raise ValueError(f"two columns have the same name: {', '.join(header)}")
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells, the header {len(header)}: {row!r}")
    return Numbers(tuple(header), tuple(tuple(row) for row in rows))


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One quantity of a table.

    Attributes
    ----------
    title
        Heading on the page; empty for a column of the CSV file alone.
    key
        Heading in the CSV file; empty for a column of the page alone.
    value
        The cell of a row in full precision.
    format
        The same for people; the value as it is when None.
    kind
        Numbers are right-aligned; verdicts get a colour besides their words.
    """

    title: str
    key: str
    value: Callable[[Row], Cell]
    format: Callable[[Row], str] | None = None
    kind: Literal["number", "text", "verdict"] = "number"

    def text(self, row: Row) -> str:
        """Return the cell of the page."""
        if self.format is not None:
            return self.format(row)
        value = self.value(row)
        return "" if value is None else str(value)


def text(
    title: str, key: str, value: Callable[[Row], Cell], format: Callable[[Row], str] | None = None
) -> Column[Row]:
    """Return a left-aligned column."""
    return Column(title, key, value, format, kind="text")


def on_page(title: str, format: Callable[[Row], str]) -> Column[Row]:
    """Return a column of the page alone, such as an interval, whose ends the CSV file holds in two."""
    return Column(title, "", lambda row: None, format)


def in_file(key: str, value: Callable[[Row], Cell]) -> Column[Row]:
    """Return a column of the CSV file alone."""
    return Column("", key, value)


def full_numbers(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Numbers:
    """Return rows in full precision, the columns' keys as header."""
    kept = [column for column in columns if column.key]
    return make_table(
        [column.key for column in kept], [[column.value(row) for column in kept] for row in rows]
    )


@dataclass(frozen=True)
class ReportTable(Generic[Row]):
    """A table of the page with its CSV file.

    Attributes
    ----------
    columns, rows
        What is shown of which objects.
    caption
        What the columns are; the first sentence names the table for screen readers.
    name
        Name of its CSV file.
    more
        Rows of the CSV file alone.
    group
        Rows between which this changes are set apart by a line.
    """

    columns: tuple[Column[Row], ...]
    rows: tuple[Row, ...]
    caption: str
    name: str = ""
    more: tuple[Row, ...] = ()
    group: Callable[[Row], object] | None = None
    block: ClassVar[str] = "table"

    @property
    def shown(self) -> tuple[Column[Row], ...]:
        """Columns of the page."""
        return tuple(column for column in self.columns if column.title)

    def starts_group(self, index: int) -> bool:
        """Tell whether a line is drawn above a row."""
        if self.group is None or index == 0:
            return False
        return self.group(self.rows[index]) != self.group(self.rows[index - 1])

    @cached_property
    def numbers(self) -> Numbers:
        """All rows in full precision."""
        return full_numbers(self.columns, (*self.rows, *self.more))
