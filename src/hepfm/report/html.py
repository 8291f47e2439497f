"""Pieces of the report as HTML text: everything that comes from data is escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape as quote

from hepfm.report.figures.style import Figure
from hepfm.report.table import ReportTable

FIRST, TEXT = ' class="first"', ' class="text"'


def escape(text: str) -> str:
    """Return plain text as HTML, with ε_S, p_B and the like as symbols with an index.

    >>> escape("1/ε_B < 3")
    '1/ε<sub>B</sub> &lt; 3'
    """
    return re.sub(r"\b([εp])_([SBab])\b", r"\1<sub>\2</sub>", quote(text))


def figure(drawn: Figure) -> str:
    """Return a figure with its caption and a link that saves its numbers."""
    return (
        f'<figure id="{quote(drawn.name)}">{drawn.svg}'
        f"<figcaption>{escape(drawn.caption)} {csv_link(drawn.table, drawn.name)}</figcaption></figure>"
    )


def grid(figures: Sequence[Figure], *, small: bool = False) -> str:
    """Return figures side by side where there is room."""
    if not figures:
        return ""
    return f'<div class="grid{" small" if small else ""}">{"".join(map(figure, figures))}</div>'


def csv_link(table: ReportTable, name: str) -> str:
    """Return a link that saves a table as CSV, from within the page."""
    data = base64.b64encode(table.to_csv().encode()).decode()
    file = f"{quote(name)}.csv"
    return f'<a class="csv" download="{file}" href="data:text/csv;base64,{data}">CSV</a>'


def scroll_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    text_columns: int = 1,
    first_rows: Sequence[int] = (),
    verdict_column: int | None = None,
) -> str:
    """Return a table in a box that scrolls sideways by itself.

    Parameters
    ----------
    header, rows
        Cells as plain text; they are escaped.
    caption
        What the columns are, plain text, or HTML made by this module's functions appended by the caller.
    text_columns
        Number of leading columns that are text.
    first_rows
        Indices of rows above which a line is drawn.
    verdict_column
        Index of a column that holds verdicts, which get a colour besides their words.
    """
    head = "".join(
        f'<th scope="col"{TEXT if i < text_columns or i == verdict_column else ""}>{escape(cell)}</th>'
        for i, cell in enumerate(header)
    )
    body = "".join(
        f"<tr{FIRST if number in first_rows and number else ''}>"
        + "".join(_cell(i, cell, text_columns, verdict_column) for i, cell in enumerate(row))
        + "</tr>"
        for number, row in enumerate(rows)
    )
    label = quote(caption.split(". ")[0])
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
        ""
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="note">{escape(caption)}</p>'
    )


def folded(summary: str, body: str) -> str:
    """Return `body`, HTML, behind a line that opens it."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def _cell(index: int, cell: str, text_columns: int, verdict_column: int | None) -> str:
    if index == verdict_column:
        kind = {"better": "better", "worse": "worse"}.get(cell, "open")
        return f'<td class="text {kind}">{escape(cell)}</td>'
    return f"<td{TEXT if index < text_columns else ''}>{escape(cell)}</td>"


def section(anchor: str, title: str, body: str) -> str:
    """Return a section with its heading; `body` is HTML."""
    return f'<section id="{quote(anchor)}"><h2>{escape(title)}</h2>{body}</section>'


def subsection(title: str, body: str) -> str:
    """Return a heading and its `body`, HTML; nothing when there is no body."""
    return f"<h3>{escape(title)}</h3>{body}" if body else ""


def bullets(items: Sequence[str]) -> str:
    """Return a list of plain-text sentences."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""


def definitions(items: Sequence[tuple[str, str]]) -> str:
    """Return a list of terms with their meaning, plain text."""
    return (
        "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in items) + "</dl>"
    )


def paragraph(text: str, *, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>"


def page(*, title: str, lead: str, links: Sequence[tuple[str, str]], body: str, footer: str, css: str) -> str:
    """Return the whole page: self-contained, no scripts, no outside address."""
    navigation = "".join(f'<li><a href="#{quote(target)}">{escape(text)}</a></li>' for target, text in links)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{quote(title)}</title><style>{css}</style></head>\n<body><header><h1>{escape(title)}</h1>"
        f'{paragraph(lead, kind="lead")}<nav aria-label="Sections"><ul>{navigation}</ul></nav></header>\n'
        f"<main>{body}</main>\n<footer>{paragraph(footer)}</footer></body></html>\n"
    )
