"""One page of histograms: every field of a store, by class where there are labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
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
from hepfm.report.figures.bins import PanelBins, binned, whole_edges
from hepfm.report.figures.object_parts import NEEDED, ObjectPart, has_parts, object_parts
from hepfm.report.figures.occurring import occurring
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
_PEAKED = 5.0
"""Ratio of the highest bin to the mean above which counts are shown on a logarithmic axis."""
_UPRIGHT = 10
"""Number of names at an axis above which they stand upright."""
_DPI = 150


def plot_fields(
    store: str | Path | Store,
    output: str | Path,
    *,
    split: str | None = None,
    rows: int = ROWS,
    overwrite: bool = False,
) -> Path:
    """Draw histograms of all fields of a store on one page; objects of events by level and type.

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
    shown = list(_shown(store, rows))
    count = len(shown)
    head = _HEAD + _LEGEND_ROW * ceil(len(drawn) / _LEGEND_COLUMNS)
    height = head + _PANEL[1] * ceil(count / _COLUMNS)
    sizes = {"font.size": 7.5, "axes.labelsize": 8.5, "xtick.minor.visible": False}
    figure, axes = panels(count, _COLUMNS, _PANEL[0] * _COLUMNS, height, **sizes)
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    place = (0, 0, 1, 1 - head / height)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=place, wspace=0.03, hspace=0.05))
    with progress("plot", count) as advance:
        for one, (panel, values, zeros) in zip(axes, _contents(store, shown, rows, members), strict=True):
            _panel(one, panel, values, drawn, zeros=zeros)
            advance(note=panel.xlabel)
    _head(figure, store, where, members, drawn, top=1 - 0.1 / height)
    return figure


@dataclass(frozen=True)
class _Shown:
    """What a panel is about: a field, or how many entries of it a row has, of all entries or a part."""

    field: Field
    number: bool = False
    part: ObjectPart | None = None


def _shown(store: Store, rows: Array) -> Iterator[_Shown]:
    schema = store.schema
    for level in Level:
        fields = [field for field in schema if field.level is level]
        if level is Level.OBJECT and has_parts(schema):
            for part in object_parts(schema, store.read(NEEDED, rows)):
                yield from [_Shown(schema[NEEDED[0]], number=True, part=part)] if part.numbered else []
                yield from (_Shown(schema[name], part=part) for name in part.fields)
            continue
        if fields and level is not schema.row:
            yield _Shown(fields[0], number=True)
        yield from map(_Shown, fields)


def _contents(
    store: Store, shown: Sequence[_Shown], rows: Array, members: Mapping[str, Array]
) -> Iterator[tuple[PanelBins, dict[str, Array], bool]]:
    """Yield what each panel shows, its values by class, and whether zeros among them mean anything."""
    for one in shown:
        field, part = one.field, one.part
        what = "rows" if field.level is store.schema.row else f"{field.level}s"
        column = store.read([field.name], rows)[field.name]
        if part is not None and isinstance(column, Ragged):
            column = column.keep(part.mask)
        if one.number and isinstance(column, Ragged):
            edges = whole_edges(column.lengths, len(members))
            xlabel = f"{what} per row" + ("" if part is None else f", {part.name}")
            yield PanelBins(edges, xlabel, "rows"), _by_class(column.lengths, members), True
            continue
        field, values = occurring(field, _values(column), of_objects=part is not None)
        column = column.with_values(values) if isinstance(column, Ragged) else values
        panel = binned(field, values, len(members), what)
        if part is not None:
            panel = replace(panel, xlabel=f"{panel.xlabel}, {part.name}")
        yield panel, _by_class(column, members), field.kind is not Kind.CATEGORICAL


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


def _panel(
    axes: Axes, bins: PanelBins, values: Mapping[str, Array], drawn: Mapping[str, Pen], *, zeros: bool
) -> None:
    counts = {name: np.histogram(column, bins.edges)[0] for name, column in values.items()}
    for name, heights in counts.items():
        if name in drawn and len(drawn) > 1:
            pen = drawn[name]
            axes.stairs(heights, bins.edges, color=pen.colour, linestyle=pen.dash, linewidth=1.1)
            if len(np.flatnonzero(heights)) == 1:  # the label
                axes.stairs(heights, bins.edges, color=pen.colour, fill=True, alpha=0.3)
        else:
            axes.stairs(heights, bins.edges, color=SERIES[0], fill=True, alpha=0.55)
    _scale(axes, list(counts.values()))
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    _name_ticks(axes, bins.ticks)
    axes.set_xlabel(bins.xlabel, labelpad=1.5)
    axes.set_ylabel(bins.ylabel)
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
    turned: dict[str, Any] = {}
    if len(ticks) > _UPRIGHT:
        turned = {"rotation": 90, "fontsize": 6}
    elif sum(map(len, ticks.values())) > 24:
        turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor", "fontsize": 6.5}
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
