"""Distributions of a store by class: soft-drop mass and number of constituents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepfm.core.ragged import Array, Ragged
from hepfm.data.store import Store
from hepfm.report.figures.style import BASELINE_COLOUR, DASHES, INK, SERIES, Figure, canvas, legend, to_svg
from hepfm.report.table import make_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANEL = 5
"""Most classes in one figure besides the reference, so that lines can be told apart."""

POLES = {"W": 80.4, "Z": 91.2, "H": 125.0, "t": 172.5}
"""Masses in GeV that mark where peaks belong (generator settings of the simulated samples; rounded)."""


@dataclass(frozen=True)
class Observable:
    """What is histogrammed: its column name, axis label, bin edges, and the name in captions."""

    name: str
    label: str
    edges: Array
    title: str


MASS = Observable("softdrop_mass", "soft-drop mass [GeV]", np.linspace(0, 250, 51), "Soft-drop mass")


def spectra_figures(store: Store, rows: Array, *, label: str, prefix: str, where: str) -> tuple[Figure, ...]:
    """Draw soft-drop mass (where the store has it) and multiplicity by class.

    Parameters
    ----------
    store
        The store.
    rows
        Rows to read.
    label
        Categorical field of the classes.
    prefix
        Start of the figures' names.
    where
        What the rows are, for captions.
    """
    wanted = [name for name in ("jet_softdrop_mass", "part_pt") if name in store.schema]
    columns = store.read([label, *wanted], rows)
    classes = store.schema[label].classes
    truth = np.asarray(columns[label])
    figures: list[Figure] = []
    if "jet_softdrop_mass" in wanted:
        values = np.asarray(columns["jet_softdrop_mass"])
        figures += _panels(MASS, values, truth, classes, prefix=prefix, where=where)
    if "part_pt" in wanted:
        lists = columns["part_pt"]
        assert isinstance(lists, Ragged)
        figures += _panels(
            _counting(lists.lengths), lists.lengths, truth, classes, prefix=prefix, where=where
        )
    return tuple(figures)


def _counting(lengths: Array) -> Observable:
    """Return the multiplicity with whole-numbered bins up to where all but one jet in a thousand lie."""
    step = max(1, int(np.ceil(np.quantile(lengths, 0.999) / 45)))
    edges = np.arange(0, np.quantile(lengths, 0.999) + 2 * step, step) - 0.5
    return Observable("multiplicity", "constituents per jet", edges, "Number of constituents")


def _panels(
    observable: Observable, values: Array, truth: Array, classes: tuple[str, ...], *, prefix: str, where: str
) -> list[Figure]:
    reference, others = classes[0], classes[1:]
    count = max(1, -(-len(others) // PANEL))
    chunks = [tuple(chunk) for chunk in np.array_split(np.array(others, dtype=object), count)]
    return [
        _panel(
            observable,
            {name: values[truth == classes.index(name)] for name in (reference, *chunk)},
            name=f"{prefix}-{observable.name}" + (f"-{index + 1}" if count > 1 else ""),
            where=where,
        )
        for index, chunk in enumerate(chunks)
    ]


def _panel(observable: Observable, values: dict[str, Array], *, name: str, where: str) -> Figure:
    figure, axes = canvas()
    edges = observable.edges
    width = float(edges[1] - edges[0])
    rows: list[list[str | float | int]] = []
    for index, (class_name, column) in enumerate(values.items()):
        counts = np.histogram(np.clip(column, edges[0], np.nextafter(edges[-1], 0)), edges)[0]
        density = counts / max(len(column), 1) / width
        if index == 0:
            axes.stairs(density, edges, fill=True, color=BASELINE_COLOUR, alpha=0.3, label=class_name)
        else:
            colour, dash = SERIES[index - 1], DASHES[(index - 1) % len(DASHES)]
            axes.stairs(density, edges, color=colour, linestyle=dash, linewidth=1.5, label=class_name)
            error = np.sqrt(counts) / max(len(column), 1) / width
            low, high = density - error, density + error
            axes.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.2)
        rows += [
            [class_name, float(low), float(high), int(n)]
            for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
        ]
    _finish(axes, observable, width)
    jets = ", ".join(f"{class_name} {len(column):,}" for class_name, column in values.items())
    alt = f"{observable.title} of {', '.join(values)} jets."
    caption = (
        f"{observable.title} by class, each normalised to one; jets: {jets}; {where}. The first and last "
        "bins hold what lies beyond. Bands: statistical uncertainty, the square root of the counts, which "
        "are in the CSV."
    )
    if observable is MASS:
        caption += " Ticks at the top: W, Z, Higgs and top masses."
    return Figure(
        name,
        to_svg(figure, name, title=alt),
        alt,
        caption,
        make_table(("class", "low", "high", "jets"), rows),
    )


def _finish(axes: Axes, observable: Observable, width: float) -> None:
    unit = "GeV" if "GeV" in observable.label else ""
    axes.set_xlabel(observable.label)
    axes.set_ylabel(f"fraction of jets per {unit}" if unit else "fraction of jets per constituent")
    axes.set_xlim(max(0.0, float(observable.edges[0])), float(observable.edges[-1]))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
    if observable is MASS:
        for name, mass in POLES.items():
            axes.plot(
                [mass, mass], [0.96, 1.0], color=INK, linewidth=1.0, transform=axes.get_xaxis_transform()
            )
            side = "right" if name == "W" else "left" if name == "Z" else "center"
            axes.text(
                mass,
                0.95,
                name,
                transform=axes.get_xaxis_transform(),
                ha=side,
                va="top",
                fontsize=8,
                color=INK,
            )
    legend(axes, loc="center right")


def sample_rows(available: Sequence[int], limit: int, generator: np.random.Generator) -> Array:
    """Return at most `limit` of the rows, drawn without replacement, in rising order."""
    rows = np.asarray(available, np.int64)
    if len(rows) <= limit:
        return rows
    return np.sort(generator.choice(rows, limit, replace=False))
