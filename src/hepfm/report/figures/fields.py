"""One page of histograms: every field of a store, by class where there are labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import atomic_path, refuse_existing
from hepfm.core.log import progress
from hepfm.core.ragged import Array, Ragged
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Kind, Level
from hepfm.data.store import Store
from hepfm.report.figures.spectra import sample_rows
from hepfm.report.figures.style import INK, MUTED, SERIES, Pen, panels, pens

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ENDINGS = (".png", ".pdf", ".svg")
ROWS = 20_000
"""Rows that are drawn by default."""
MOST_CLASSES = 10
"""Classes that are drawn apart; more could not be told apart."""

_COLUMNS = 4
_PANEL = (3.0, 2.15)
_HEAD = 0.75
"""Inches above the panels, for the title; each row of the legend takes `_LEGEND_ROW` more."""
_LEGEND_ROW, _LEGEND_COLUMNS = 0.2, 5
_FEWEST_BINS, _MOST_BINS = 15, 50
_NAMED_CLASSES = 16
"""Classes of a field whose names stand at the axis."""
_TAIL = 2.5e-3
"""Fraction of the values at either end that may be outside the axis, where they would squeeze the others."""
_SQUEEZED = 2.0
"""Ratio of the full range to that without tails above which the tails are left out."""
_PEAKED = 5.0
"""Ratio of the highest bin to the mean above which counts are shown on a logarithmic axis."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Widths of bins, times a power of ten."""
_ANGLES = {-pi: "-π", -pi / 2: "-π/2", 0.0: "0", pi / 2: "π/2", pi: "π"}
_DPI = 150


@dataclass(frozen=True)
class _Binned:
    """What a panel shows: bin edges, texts at the axes, and the places of ticks where they are named."""

    edges: Array
    xlabel: str
    ylabel: str
    ticks: Mapping[float, str] | None = None


def plot_fields(
    store: str | Path | Store,
    output: str | Path,
    *,
    split: str | None = None,
    rows: int = ROWS,
    overwrite: bool = False,
) -> Path:
    """Draw histograms of all fields of a store on one page.

    Classes of the label are drawn apart if there are at most `MOST_CLASSES`. Above each panel stand the
    number of entries, the fraction of zeros, and the fraction outside the axis where there is one. Event
    weights are not applied.

    Parameters
    ----------
    store
        The store.
    output
        File to write, ``.png``, ``.pdf`` or ``.svg``.
    split
        Rows of one split; all by default.
    rows
        Most rows; of more, so many are drawn at random.
    overwrite
        Replace a file that is there already.

    Raises
    ------
    ConfigError
        When the name of the file has another ending, or `rows` is below 1.
    DataError
        When the store has no rows, or no such split.
    MissingExtraError
        When matplotlib is not installed.
    """
    path = Path(output)
    if path.suffix not in ENDINGS:
        raise ConfigError(f"cannot draw {path}: its name must end in {', '.join(ENDINGS)}")
    if rows < 1:
        raise ConfigError(f"rows to draw must be 1 or more, got {rows}")
    refuse_existing(path, overwrite=overwrite)
    source = store if isinstance(store, Store) else Store.open(store)
    available = source.split(split) if split else range(source.num_rows)
    if not len(available):
        raise DataError(f"{source.path} has no rows to draw")
    chosen = sample_rows(available, rows, numpy_generator(0, "plot_fields"))
    figure = _draw(source, chosen, where=_where(source, split, len(available), len(chosen)))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, facecolor="white")
    return path


def _where(store: Store, split: str | None, available: int, chosen: int) -> str:
    sizes = ", ".join(f"{name} {len(rows):,}" for name, rows in store.splits.items())
    of = f"split {split}" if split else sizes
    return f"{available:,} rows ({of})" + (
        f", {chosen:,} of them drawn at random" if chosen < available else ""
    )


def _draw(store: Store, rows: Array, *, where: str) -> Canvas:
    members = _members(store, rows)
    drawn = pens([name for name in members if name], "")
    levels = [level for level in Level if store.schema.names(level) and level is not store.schema.row]
    count = len(store.schema.fields) + len(levels)
    head = _HEAD + _LEGEND_ROW * ceil(len(drawn) / _LEGEND_COLUMNS)
    height = head + _PANEL[1] * ceil(count / _COLUMNS)
    sizes = {"font.size": 7.5, "axes.labelsize": 8.5, "xtick.minor.visible": False}
    figure, axes = panels(count, _COLUMNS, _PANEL[0] * _COLUMNS, height, **sizes)
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    place = (0, 0, 1, 1 - head / height)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=place, wspace=0.03, hspace=0.05))
    with progress("plot", count) as advance:
        for one, (binned, values, zeros) in zip(axes, _contents(store, rows, members), strict=True):
            _panel(one, binned, values, drawn, zeros=zeros)
            advance(note=binned.xlabel)
    _head(figure, store, where, members, drawn, top=1 - 0.1 / height)
    return figure


def _contents(
    store: Store, rows: Array, members: Mapping[str, Array]
) -> Iterator[tuple[_Binned, dict[str, Array], bool]]:
    """Yield what each panel shows, its values by class, and whether zeros among them mean anything."""
    for level in Level:
        what = "rows" if level is store.schema.row else f"{level}s"
        for place, field in enumerate(field for field in store.schema if field.level is level):
            column = store.read([field.name], rows)[field.name]
            if place == 0 and isinstance(column, Ragged):
                edges = _whole_edges(column.lengths, len(members))
                yield _Binned(edges, f"{what} per row", "rows"), _by_class(column.lengths, members), True
            binned = _binned(field, _values(column), len(members), what)
            yield binned, _by_class(column, members), field.kind is not Kind.CATEGORICAL


def _head(
    figure: Canvas,
    store: Store,
    where: str,
    members: Mapping[str, Array],
    drawn: Mapping[str, Pen],
    *,
    top: float,
) -> None:
    inch = 1 / figure.get_figheight()
    notes = [where]
    if store.schema.label_classes and not drawn:
        notes.append(f"the {len(store.schema.label_classes)} classes are drawn together")
    if store.schema.weight:
        notes.append(f"event weights ({store.schema.weight}) are not applied")
    figure.text(0.01, top, store.path.name, fontsize=13, fontweight="bold", va="top", color=INK)
    figure.text(0.01, top - 0.27 * inch, "; ".join(notes), fontsize=9, va="top", color=MUTED)
    if not drawn:
        return
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=pen.colour,
            linestyle=pen.dash,
            linewidth=1.6,
            label=f"{name} ({int(members[name].sum()):,})",
        )
        for name, pen in drawn.items()
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.003, top - 0.45 * inch),
        ncols=_LEGEND_COLUMNS,
        frameon=False,
        fontsize=9,
        handlelength=2.6,
        borderaxespad=0.0,
    )


def _members(store: Store, rows: Array) -> dict[str, Array]:
    """Return which rows are of each class; all under an empty name where none are drawn apart."""
    label, classes = store.schema.label, store.schema.label_classes
    if label is not None and classes:
        truth = np.asarray(store.read([label], rows)[label])
        present = np.unique(truth)
        if len(present) <= MOST_CLASSES:
            return {classes[number]: truth == number for number in present}
    return {"": np.ones(len(rows), bool)}


def _by_class(column: Array | Ragged, members: Mapping[str, Array]) -> dict[str, Array]:
    return {
        name: _values(column.take(mask) if isinstance(column, Ragged) else column[mask])
        for name, mask in members.items()
    }


def _values(column: Array | Ragged) -> Array:
    values = column.values if isinstance(column, Ragged) else np.asarray(column)
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def _binned(field: Field, values: Array, classes: int, what: str) -> _Binned:
    xlabel = field.name if field.unit == "1" else f"{field.name} [{field.unit}]"
    if field.kind is Kind.CATEGORICAL:
        edges = np.arange(len(field.classes) + 1) - 0.5
        named = len(field.classes) <= _NAMED_CLASSES
        return _Binned(edges, xlabel, what, dict(enumerate(field.classes)) if named else None)
    if field.kind is Kind.FLAG:
        return _Binned(np.arange(3) - 0.5, xlabel, what, {0: "no", 1: "yes"})
    whole = field.kind is Kind.COUNT or not len(values) or _is_whole(values)
    if whole:
        edges = _whole_edges(values, classes)
    elif field.kind is Kind.ANGLE:
        edges = np.linspace(-pi, pi, _bins(values, classes) // 2 * 2 + 1)
    else:
        edges = _edges(values, classes)
    width = float(edges[1] - edges[0])
    unit = "" if field.unit == "1" else f" {field.unit}"
    per = "" if whole and width == 1 else f" / {width:.3g}{unit}"
    ticks = _ANGLES if field.kind is Kind.ANGLE else None
    return _Binned(edges, xlabel, what + per, ticks)


def _is_whole(values: Array) -> bool:
    """Tell whether floating-point numbers are few whole ones, as charges are."""
    return bool(
        np.ptp(values) < _MOST_BINS and (values == np.round(values)).all() and len(np.unique(values)) > 1
    )


def _range(values: Array) -> tuple[float, float]:
    """Return the ends of an axis: all values, or without tails that would squeeze the others."""
    values = np.asarray(values, np.float64)
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(end) for end in np.quantile(values, (_TAIL, 1 - _TAIL)))
    if inner_high > inner_low and high - low > _SQUEEZED * (inner_high - inner_low):
        low, high = inner_low, inner_high
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bins(values: Array, classes: int) -> int:
    """Return the number of bins about which the entries of a class do not fluctuate too much."""
    return int(np.clip((len(values) / classes) ** 0.5, _FEWEST_BINS, _MOST_BINS))


def _edges(values: Array, classes: int) -> Array:
    """Return edges of bins of a round width."""
    low, high = _range(values)
    width = _round_up((high - low) / _bins(values, classes))
    first, last = floor(low / width), ceil(high / width)
    return width * np.arange(first, max(last, first + 1) + 1)


def _round_up(width: float) -> float:
    decade = 10.0 ** floor(log10(width))
    return decade * next(step for step in _STEPS if step * decade >= width * (1 - 1e-9))


def _whole_edges(values: Array, classes: int) -> Array:
    """Return edges of bins of whole numbers, or of a whole number of them."""
    low, high = (round(end) for end in _range(values)) if len(values) else (0, 1)
    width = max(1, round(_round_up(max(1, (high - low) / _bins(values, classes)))))
    first = low // width * width
    return np.arange(first, high + 2 * width, width) - 0.5


def _panel(
    axes: Axes, binned: _Binned, values: Mapping[str, Array], drawn: Mapping[str, Pen], *, zeros: bool
) -> None:
    counts = {name: np.histogram(column, binned.edges)[0] for name, column in values.items()}
    for name, heights in counts.items():
        if name in drawn and len(drawn) > 1:
            pen = drawn[name]
            axes.stairs(heights, binned.edges, color=pen.colour, linestyle=pen.dash, linewidth=1.1)
            if len(np.flatnonzero(heights)) == 1:  # the label
                axes.stairs(heights, binned.edges, color=pen.colour, fill=True, alpha=0.3)
        else:
            axes.stairs(heights, binned.edges, color=SERIES[0], fill=True, alpha=0.55)
    _scale(axes, list(counts.values()))
    axes.set_xlim(binned.edges[0], binned.edges[-1])
    _name_ticks(axes, binned.ticks)
    axes.set_xlabel(binned.xlabel, labelpad=1.5)
    axes.set_ylabel(binned.ylabel)
    axes.set_title(_facts(values, counts, zeros=zeros), loc="right", color=MUTED, pad=3, fontsize=7.5)


def _scale(axes: Axes, counts: Sequence[Array]) -> None:
    from matplotlib.ticker import MaxNLocator

    highest = max((int(heights.max()) for heights in counts), default=0)
    total = np.sum(counts, axis=0)
    if total.max() > _PEAKED * total.mean():
        axes.set_yscale("log")
        axes.set_ylim(0.7, highest * 2)
    else:
        axes.set_ylim(0, max(1, highest) * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 4), useMathText=True)


def _name_ticks(axes: Axes, ticks: Mapping[float, str] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.tick_params(axis="x", which="minor", bottom=False, top=False)
    if ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 5), useMathText=True)
        return
    crowded = sum(map(len, ticks.values())) > 24
    turned: dict[str, Any] = (
        {"rotation": 30, "ha": "right", "rotation_mode": "anchor", "fontsize": 6.5} if crowded else {}
    )
    axes.set_xticks(list(ticks), list(ticks.values()), **turned)


def _facts(values: Mapping[str, Array], counts: Mapping[str, Array], *, zeros: bool) -> str:
    """Return the number of entries, the fraction of zeros, and what the axis leaves out."""
    number = sum(map(len, values.values()))
    facts = [f"{number:,} entries"]
    if zeros:
        zero = sum(int((column == 0).sum()) for column in values.values())
        facts.append(f"{_percent(zero, number)} zero" if zero else "no zeros")
    outside = number - sum(int(heights.sum()) for heights in counts.values())
    if not outside:
        return " · ".join(facts)
    low, high = (end(float(end(column)) for column in values.values() if len(column)) for end in (min, max))
    return " · ".join(facts) + f"\n{_percent(outside, number)} outside; values from {low:.4g} to {high:.4g}"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / max(whole, 1)
    if 0 < share < 0.1:
        return "< 0.1 %"
    return f"{share:.0f} %" if share in (0, 100) else f"{min(share, 99.9):.1f} %"
