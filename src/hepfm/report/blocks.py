"""What a page is made of: parts, and in them blocks. They are data; the template makes HTML of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hepfm.report.figures.style import Figure
from hepfm.report.table import Numbers, ReportTable


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning stands out."""

    text: str
    warning: bool = False
    block: ClassVar[str] = "text"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences; answers stand out in a box."""

    items: tuple[str, ...]
    answers: bool = False
    block: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class Definitions:
    """Terms with their meaning."""

    items: tuple[tuple[str, str], ...]
    block: ClassVar[str] = "definitions"


@dataclass(frozen=True)
class FigureGrid:
    """Figures side by side where there is room."""

    figures: tuple[Figure, ...]
    small: bool = False
    block: ClassVar[str] = "grid"


@dataclass(frozen=True)
class Titled:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]
    block: ClassVar[str] = "titled"


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that opens them."""

    title: str
    blocks: tuple[Block, ...]
    block: ClassVar[str] = "folded"


Block = Text | Bullets | Definitions | FigureGrid | ReportTable[Any] | Titled | Folded


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Attributes
    ----------
    anchor
        Where links lead.
    title
        Of the link, and the heading unless that is given.
    blocks
        Its contents.
    heading
        Longer heading; the title if empty.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    heading: str = ""

    @property
    def tables(self) -> dict[str, Numbers]:
        """The numbers of all figures and tables, which become CSV files, by name."""
        return dict(_numbers(self.blocks))


def titled(title: str, blocks: Sequence[Block]) -> list[Titled]:
    """Return blocks under a heading; nothing when there are none."""
    return [Titled(title, tuple(blocks))] if blocks else []


def folded(title: str, blocks: Sequence[Block]) -> list[Folded]:
    """Return blocks behind a line that opens them; nothing when there are none."""
    return [Folded(title, tuple(blocks))] if blocks else []


def grid(figures: Sequence[Figure], *, small: bool = False) -> list[FigureGrid]:
    """Return figures side by side; nothing when there are none."""
    return [FigureGrid(tuple(figures), small)] if figures else []


def _numbers(blocks: Sequence[Block]) -> Iterator[tuple[str, Numbers]]:
    for block in blocks:
        if isinstance(block, FigureGrid):
            yield from ((figure.name, figure.table) for figure in block.figures)
        elif isinstance(block, ReportTable):
            if block.name:
                yield block.name, block.numbers
        elif isinstance(block, Titled | Folded):
            yield from _numbers(block.blocks)
