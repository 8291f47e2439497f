"""The page is data and one template: columns are listed once, text is escaped everywhere."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser
from typing import Any, get_args

import pytest

from hepfm.report.blocks import Block, Bullets, Definitions, FigureGrid, Folded, Part, Text, Titled
from hepfm.report.figures.style import Figure
from hepfm.report.page import Page
from hepfm.report.table import Column, ReportTable, full_numbers, in_file, make_table, on_page, text

NAUGHTY = '" onclick="x"><b>ε_S & co</b>'
SHOWN = "&#34; onclick=&#34;x&#34;&gt;&lt;b&gt;ε<sub>S</sub> &amp; co&lt;/b&gt;"


def render(*blocks: Any) -> str:
    return Page("title", "lead", (Part("a", "part", blocks),)).render()


def table(*columns: Column[Any], **changes: Any) -> ReportTable[Any]:
    return ReportTable(columns, ((1.23456, "x"), (-2.0, "=y")), "What it is. More.", "t", **changes)


VALUE: Column[Any] = Column("value", "full", lambda row: row[0], lambda row: f"{row[0]:.1f}")
NAME: Column[Any] = text("name", "called", lambda row: row[1])


def saved(page: str) -> list[list[str]]:
    """Return the file behind the link of the page."""
    (data,) = re.findall(r'href="data:text/csv;base64,([^"]*)"', page)
    return list(csv.reader(io.StringIO(base64.b64decode(data).decode())))


def test_page_and_file_have_the_same_columns() -> None:
    both = table(NAME, VALUE, on_page("ends", lambda row: "0 to 1"), in_file("low", lambda row: 0.25))
    page = render(both)
    assert re.findall(r"<th[^>]*>([^<]*)</th>", page) == ["name", "value", "ends"]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", page) == ["x", "1.2", "0 to 1", "=y", "-2.0", "0 to 1"]
    assert saved(page) == [["called", "full", "low"], ["x", "1.23456", "0.25"], ["'=y", "-2.0", "0.25"]]


def test_a_cell_that_changes_changes_in_both() -> None:
    changed = Column("value", "full", lambda row: 2 * row[0])
    page = render(table(changed))
    assert "<td>2.46912</td>" in page
    assert saved(page)[1] == ["2.46912"]


def test_rows_of_the_file_alone_and_lines_between_groups() -> None:
    page = render(table(NAME, more=((0.0, "z"),), group=lambda row: row[1]))
    assert [row[0] for row in saved(page)] == ["called", "x", "'=y", "z"]
    assert ">z<" not in page
    assert page.count('<tr class="first">') == 1
    assert '<tr class="first">' not in render(table(NAME, group=lambda row: None))


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two columns have the same name: full, full"):
        full_numbers((VALUE, VALUE), [])


def test_a_verdict_has_a_colour_and_nothing_else_has() -> None:
    for verdict, kind in (("better", "better"), ("worse", "worse"), ('x" y', "open")):
        column: Column[Any] = Column("verdict", "verdict", lambda row, it=verdict: it, kind="verdict")
        assert f'<td class="text {kind}">' in render(table(column))


BLOCKS: tuple[Block, ...] = (
    Text(NAUGHTY),
    Bullets((NAUGHTY,), answers=True),
    Definitions(((NAUGHTY, NAUGHTY),)),
    FigureGrid((Figure(NAUGHTY, "<svg></svg>", NAUGHTY, NAUGHTY, make_table(("a",), [(1,)])),)),
    ReportTable(
        (
            text(NAUGHTY, "key", lambda row: NAUGHTY),
            Column("verdict", "v", lambda row: NAUGHTY, kind="verdict"),
        ),
        (None,),
        f"{NAUGHTY}. More",
        NAUGHTY,
    ),
    Titled(NAUGHTY, (Text(NAUGHTY),)),
    Folded(NAUGHTY, (Text(NAUGHTY),)),
)


def test_every_kind_of_block_is_tried() -> None:
    assert {type(block) for block in BLOCKS} == {
        getattr(kind, "__origin__", kind) for kind in get_args(Block)
    }


class Tags(HTMLParser):
    """Collects tags and the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.block)
def test_text_of_users_is_escaped_in_every_kind_of_block(block: Block) -> None:
    page = render(block)
    assert SHOWN in page
    assert not Tags(page).names & {"b", "onclick"}


def test_title_lead_and_parts_are_escaped() -> None:
    page = Page(NAUGHTY, NAUGHTY, (Part(NAUGHTY, NAUGHTY, (), heading=NAUGHTY),)).render()
    assert not Tags(page).names & {"b", "onclick"}
    assert page.count(SHOWN) == 4  # heading, lead, link and heading of the part
