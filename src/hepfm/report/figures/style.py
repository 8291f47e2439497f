"""How figures look: size, ticks, colours that follow the theme of the page, and export to inline SVG.

Figures are drawn small (four inches wide): their text is readable on a phone, and they grow on a desk.
Colours are written as CSS variables into the SVG; the page defines them for both themes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from hepfm.core.errors import missing_extra
from hepfm.report.table import Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas

INK, MUTED, GRID, PAPER = "#101112", "#6b7073", "#d9dadb", "#fefdfc"
SERIES = ("#0b62a8", "#c2460f", "#0a7f5a", "#8a3ea8", "#9a7400", "#1f8fb0", "#b0306a", "#5a6b1f", "#7a4a2b")
BASELINE_COLOUR = "#55595d"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    BASELINE_COLOUR: "--baseline",
    **{colour: f"--series-{index}" for index, colour in enumerate(SERIES)},
}
"""Colour in the drawing -> CSS variable of the page; the colour itself is the light theme's value."""

INDEX = 'ε<tspan dy="2.2" style="font-size: 72%">\\1</tspan><tspan dy="-2.2">\u200b</tspan>'
"""An efficiency with its index lowered; the last, empty character goes back to the line."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
WIDTH, HEIGHT = 4.0, 3.1

TICKS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
"""Labelled ticks of a decade, sparsest first."""


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Attributes
    ----------
    name
        Name of its CSV file and of its place in the page.
    svg
        Inline SVG.
    alt
        What it shows, for those who cannot see it.
    caption
        Sample sizes, seeds, definitions, and what bands and bars are.
    table
        The numbers that are drawn.
    """

    name: str
    svg: str
    alt: str
    caption: str
    table: Numbers


@dataclass(frozen=True)
class Pen:
    """How one series is drawn: never by colour alone."""

    colour: str
    marker: str
    dash: Any


def pens(names: Sequence[str], baseline: str) -> dict[str, Pen]:
    """Return a pen for each name, the same on every figure; the baseline is grey."""
    found = {}
    others = [name for name in names if name != baseline]
    for index, name in enumerate(others):
        found[name] = Pen(
            SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)]
        )
    if baseline in names:
        found[baseline] = Pen(BASELINE_COLOUR, "X", (0, (3.5, 1.8)))
    return found


def canvas(width: float = WIDTH, height: float = HEIGHT) -> tuple[Canvas, Axes]:
    """Return a figure with one axes in the package's style.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    """
    figure, axes = panels(1, 1, width, height)
    return figure, axes[0]


def panels(
    count: int, columns: int, width: float, height: float, **settings: Any
) -> tuple[Canvas, list[Axes]]:
    """Return a figure of a number of axes in the package's style, row after row.

    Parameters
    ----------
    count
        Number of axes.
    columns
        Axes side by side.
    width, height
        Of the figure in inches.
    settings
        Further settings of matplotlib.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError:
        raise missing_extra("matplotlib", "plot") from None
    with mpl.rc_context(_settings() | settings):
        figure = Canvas(figsize=(width, height), layout="constrained")
        axes = [figure.add_subplot(ceil(count / columns), columns, place + 1) for place in range(count)]
        for one in axes:
            one.minorticks_on()
    return figure, axes


def _settings() -> Any:
    return {
        "font.size": 9.0,
        "axes.labelsize": 10.0,
        "axes.linewidth": 0.8,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.direction": "in",
        "ytick.direction": "in",
        "xtick.top": True,
        "ytick.right": True,
        "xtick.major.size": 5.0,
        "ytick.major.size": 5.0,
        "xtick.minor.size": 2.5,
        "ytick.minor.size": 2.5,
        "font.family": "DejaVu Sans",
    }


def legend(axes: Axes, **place: Any) -> None:
    """Draw a legend without a frame; `place` goes to matplotlib; long texts get one column."""
    import matplotlib as mpl

    if max(map(len, axes.get_legend_handles_labels()[1]), default=0) > LONG_LABEL:
        place["ncols"] = 1
    with mpl.rc_context({"text.color": INK, "legend.fontsize": 8.5}):
        axes.legend(frameon=False, handlelength=2.4, **place)


LONG_LABEL = 40
"""Characters of which two stand beside each other in the width of a figure."""

LEGEND_ROW = 0.19
"""Height of a row of the legend in inches."""


def canvas_with_legend(entries: int) -> tuple[Canvas, Axes]:
    """Return a figure that has room for a legend of two columns below it."""
    return canvas(height=HEIGHT + LEGEND_ROW * ceil(entries / 2))


def legend_below(axes: Axes, *, drop: float = 0.18) -> None:
    """Draw the legend below the axes, arms before the lines that they are compared with.

    `drop` is the room for the labels of the axis, in heights of the axes.
    """
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(handles)), key=lambda index: not hasattr(handles[index], "has_yerr"))
    legend(
        axes,
        handles=[handles[index] for index in order],
        labels=[labels[index] for index in order],
        loc="upper center",
        bbox_to_anchor=(0.5, -drop),
        ncols=2,
    )


LONG_AXIS = 32
"""Characters that stand beside the y axis of a figure in one line."""


def two_lines(title: str) -> str:
    """Return a title that fits beside an axis, in lines.

    >>> two_lines("separation power of energy over incident energy")
    'separation power of energy over\\nincident energy'
    """
    return "\n".join(wrap(title, LONG_AXIS))


def _sparsest_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return the fewest ticks of a decade of which at least three lie between two ends."""
    decades = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    counts = [sum(low <= tick * decade <= high for tick in ticks for decade in decades) for ticks in TICKS]
    return next((ticks for ticks, count in zip(TICKS, counts, strict=True) if count >= 3), TICKS[-1])


def scale_axis(axes: Axes) -> None:
    """Label a logarithmic x axis of numbers that may be large, and no minor tick of it."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(base=10, subs=_sparsest_ticks(*axes.get_xlim())))
    axes.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(9, 9)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def plain_log_axis(axis: Axis) -> None:
    """Label a logarithmic axis in plain numbers, with the sparsest ticks that give at least three."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(base=10, subs=_sparsest_ticks(*axis.get_view_interval())))
    axis.set_major_formatter(lambda value, position: f"{value:,g}")
    axis.set_minor_formatter(lambda value, position: "")


def to_svg(figure: Canvas, name: str, *, title: str) -> str:
    """Return inline SVG: text as text, colours as variables, ids of its own, the same bytes every time."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"ε_([SB])", INDEX, _own_ids(svg, name))
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(
        r"font: (italic |oblique |bold )*([\d.]+)px[^;\"]*", r"font-size: \2px; font-family: inherit", svg
    )
    width, height = (float(part) for part in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2])
    head = f'<svg role="img" aria-label="{_escape(title)}" viewBox="0 0 {width:g} {height:g}" class="plot">'
    return re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1).replace("xlink:href", "href").strip()


def _own_ids(svg: str, name: str) -> str:
    """Prefix ids, so that figures inline in one page do not share any."""
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    svg = re.sub(r'\sid="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
