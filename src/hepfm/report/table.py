"""Tables: the numbers of a figure or a comparison, for the page and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hepfm.metrics.trainings import Scale

Cell = str | int | float | None


@dataclass(frozen=True)
class ReportTable:
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


def make_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> ReportTable:
    """Build a table; every row must be as long as the header."""
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells, the header {len(header)}: {row!r}")
    return ReportTable(tuple(header), tuple(tuple(row) for row in rows))


def number(value: float | None, scale: Scale) -> str:
    """Return a metric for people: four decimals, or three significant digits for a rejection.

    >>> number(0.98765, "difference"), number(1234.5, "ratio"), number(None, "ratio")
    ('0.9877', '1,230', 'none')
    """
    if value is None:
        return "none"
    if scale == "difference":
        return f"{value:.4f}"
    return significant(value)


def significant(value: float, digits: int = 3) -> str:
    """Return a number with some significant digits and no exponent below a million.

    >>> significant(0.012345), significant(98765.0), significant(2.0)
    ('0.0123', '98,800', '2.00')
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - int(f"{rounded:e}".split("e")[1]))
    return f"{rounded:,.{decimals}f}"


def interval(low: float | None, high: float | None, scale: Scale) -> str:
    """Return an interval for people; an open end says so.

    >>> interval(1.5, None, "ratio")
    'above 1.50'
    """
    if low is None and high is None:
        return "none"
    if high is None:
        return f"above {number(low, scale)}"
    if low is None:
        return f"below {number(high, scale)}"
    return f"{number(low, scale)} to {number(high, scale)}"


def labels_text(budget: int | None) -> str:
    """Return a number of labels for a column of its own.

    >>> labels_text(1000), labels_text(None)
    ('1,000', 'all')
    """
    return "all" if budget is None else f"{budget:,}"
