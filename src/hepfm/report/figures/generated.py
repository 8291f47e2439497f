"""Generated rows over real ones, with the ratio to the real ones below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.ragged import Array
from hepfm.metrics.generation.spectra import Axis, Binned
from hepfm.report.figures.style import (
    BASELINE_COLOUR,
    INK,
    MUTED,
    Figure,
    Pen,
    canvas,
    legend,
    to_svg,
)
from hepfm.report.table import Cell, Numbers, make_table

REAL, SECOND, NOISE = "real", "other real rows", "noise"
RATIO = (0.0, 2.0)
"""Range of the ratio; what lies beyond is marked by an arrow at the edge."""


@dataclass(frozen=True)
class SpectrumPanel:
    """One figure: what is drawn of one class of rows.

    Attributes
    ----------
    axis
        What is drawn against what.
    group
        Class of the rows; empty for all together.
    real, second, noise
        The reference, the other half of the real rows, and noise.
    generated
        By arm.
    """

    axis: Axis
    group: str
    real: Binned
    second: Binned
    noise: Binned
    generated: Mapping[str, Binned]


def generated_figure(panel: SpectrumPanel, pens: Mapping[str, Pen], *, name: str, note: str = "") -> Figure:
    """Draw generated over real rows; bars are statistical uncertainties, the band that of real over real."""
    figure, main = canvas(4.0, 3.9)
    main.remove()
    main, ratio = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1.0))
    edges, real = panel.axis.edges, panel.real
    main.stairs(real.value, edges, fill=True, color=BASELINE_COLOUR, alpha=0.3, label=REAL)
    main.stairs(panel.noise.value, edges, color=MUTED, linewidth=0.8, label=NOISE)
    _band(ratio, panel)
    ratio.stairs(_over(panel.noise.value, real.value), edges, color=MUTED, linewidth=0.8, baseline=None)
    for place, (arm, made) in enumerate(panel.generated.items()):
        pen = pens[arm]
        main.stairs(made.value, edges, color=pen.colour, linestyle=pen.dash, linewidth=1.4, label=arm)
        x = _places(panel.axis, place, len(panel.generated))
        look: dict[str, Any] = {"color": pen.colour, "linewidth": 0.9, "fmt": "none"}
        main.errorbar(x, made.value, made.error, **look)
        _points(ratio, x, made, real, pen)
    _finish(main, ratio, panel)
    title = f"{panel.axis.title}{f', {panel.group}' if panel.group else ''}"
    alt = f"{title} of generated rows ({', '.join(panel.generated)}) over real ones, with the ratio."
    return Figure(
        name, to_svg(figure, name, title=alt), alt, f"{_caption(title, panel)}{note}", _table(panel)
    )


def _band(axes: object, panel: SpectrumPanel) -> None:
    """Draw what the ratio of two real samples of these sizes scatters by."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    half = _over(np.hypot(panel.real.error, panel.second.error), panel.real.value)
    half = np.where(np.isfinite(half), half, 0.0)
    edges = panel.axis.edges
    axes.stairs(1 + half, edges, baseline=1 - half, fill=True, color=BASELINE_COLOUR, alpha=0.3)
    axes.axhline(1.0, color=INK, linewidth=0.7)


def _points(axes: object, x: Array, made: Binned, real: Binned, pen: Pen) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    value, error = _over(made.value, real.value), _over(made.error, real.value)
    low, high = RATIO
    inside = np.isfinite(value) & (value <= high) & (made.value > 0)
    look: dict[str, Any] = {"color": pen.colour, "markersize": 3.0, "elinewidth": 0.9}
    axes.errorbar(x[inside], value[inside], error[inside], fmt=pen.marker, **look)
    above = (real.value > 0) & (value > high)
    axes.plot(x[above], np.full(above.sum(), high - 0.08), "^", color=pen.colour, markersize=3.0)
    below = (real.value > 0) & (made.value == 0)
    axes.plot(x[below], np.full(below.sum(), low + 0.08), "v", color=pen.colour, markersize=3.0)


def _finish(main: object, ratio: object, panel: SpectrumPanel) -> None:
    from matplotlib.axes import Axes

    assert isinstance(main, Axes)
    assert isinstance(ratio, Axes)
    axis = panel.axis
    tops = [panel.real.value.max(), *(made.value.max() for made in panel.generated.values())]
    top = float(max(tops))
    if axis.log_x:
        main.set_xscale("log")
    if axis.log_y:
        smallest = panel.real.value[panel.real.value > 0].min()
        main.set_yscale("log")
        main.set_ylim(float(smallest) / 3, top * 20)
    else:
        main.set_ylim(0, 1.35 * top)
    for axes in (main, ratio):
        axes.minorticks_on()
        axes.tick_params(which="both", direction="in", top=True, right=True)
    main.set_xlim(float(axis.edges[0]), float(axis.edges[-1]))
    main.set_ylabel(axis.y_label)
    ratio.set_xlabel(axis.label)
    ratio.set_ylabel("ratio to real")
    ratio.set_ylim(*RATIO)
    if panel.group:
        main.set_title(panel.group, fontsize=9.5, loc="left")
    legend(main, loc="best")


def _places(axis: Axis, place: int, arms: int) -> Array:
    """Return where points of an arm stand within the bins, side by side."""
    fraction = 0.5 + 0.16 * (place - (arms - 1) / 2)
    low, high = axis.edges[:-1], axis.edges[1:]
    if axis.log_x:
        return np.asarray(low ** (1 - fraction) * high**fraction)
    return np.asarray(low + fraction * (high - low))


def _over(above: Array, below: Array) -> Array:
    good = below > 0
    return np.where(good, above / np.where(good, below, 1.0), np.nan)


def _caption(title: str, panel: SpectrumPanel) -> str:
    rows = ", ".join(f"{arm} {made.rows:,}" for arm, made in panel.generated.items())
    beyond = "" if _profile(panel.axis) else " The first and the last bin hold what lies beyond."
    return (
        f"{title}, mean over rows; real {panel.real.rows:,} rows, {rows}. Bars: statistical uncertainty of "
        "the generated rows. Below: ratio to the real rows; grey band: statistical uncertainty of real rows "
        f"over other real rows, within which no generator can be distinguished from a perfect one; thin grey "
        f"line: noise, which may leave the frame.{beyond} Triangles: ratios above 2, or bins that stay empty."
    )


def _profile(axis: Axis) -> bool:
    return axis.y_label.startswith("mean")


def _table(panel: SpectrumPanel) -> Numbers:
    samples = {REAL: panel.real, SECOND: panel.second, NOISE: panel.noise, **panel.generated}
    edges = panel.axis.edges
    rows: list[list[Cell]] = [
        [sample, float(low), float(high), float(value), float(error)]
        for sample, drawn in samples.items()
        for low, high, value, error in zip(edges[:-1], edges[1:], drawn.value, drawn.error, strict=True)
    ]
    return make_table(("sample", "low", "high", "value", "uncertainty"), rows)
