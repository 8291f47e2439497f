"""Losses against scale with the laws that were fitted to them, and predictions beside measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hepfm.metrics.predictions import FloatArray
from hepfm.report.figures.style import (
    HEIGHT,
    INK,
    LEGEND_ROW,
    MUTED,
    Figure,
    Pen,
    canvas,
    legend_below,
    plain_log_axis,
    scale_axis,
    to_svg,
    two_lines,
)
from hepfm.report.table import Cell, make_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 60
"""Points of a curve."""


@dataclass(frozen=True)
class ScaledPoint:
    """A cell of trainings.

    Attributes
    ----------
    series
        What it is drawn with.
    x
        Its scale.
    mean, losses
        Geometric mean, and the trainings.
    kind
        ``"fitted"``, ``"other"`` for cells that this law does not see, ``"held out"``.
    """

    series: str
    x: float
    mean: float
    losses: tuple[float, ...]
    kind: Literal["fitted", "other", "held out"]


@dataclass(frozen=True)
class PredictedPoint:
    """A prediction with its interval."""

    x: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ScaledCurve:
    """A law, or the validation losses of a training.

    Attributes
    ----------
    name
        For the legend; empty for none.
    series
        What it is drawn with; empty for ink.
    kind
        ``"law"``, ``"joint law"`` or ``"training"``.
    x, y
        Points, shape (P,).
    low, high
        Band, shape (P,); None without one.
    """

    name: str
    series: str
    kind: Literal["law", "joint law", "training"]
    x: FloatArray
    y: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None


@dataclass(frozen=True)
class ScalingDrawing:
    """Everything that one figure shows."""

    points: tuple[ScaledPoint, ...]
    curves: tuple[ScaledCurve, ...]
    predictions: tuple[PredictedPoint, ...]


def scaling_figure(
    drawing: ScalingDrawing, pens: Mapping[str, Pen], *, name: str, xlabel: str, ylabel: str, caption: str
) -> Figure:
    """Draw losses over a scale, both logarithmic."""
    entries = len(pens) + 3
    figure, axes = canvas(height=HEIGHT + LEGEND_ROW * (entries // 2 + 1))
    for curve in drawing.curves:
        _draw_curve(axes, curve, pens)
    shown: set[str] = set()
    for point in drawing.points:
        _draw_point(axes, point, pens[point.series], labelled=point.series not in shown)
        shown.add(point.series)
    _draw_predictions(axes, drawing)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log_axis(axes.yaxis)
    scale_axis(axes)
    axes.set_xlabel(xlabel, labelpad=2)
    axes.set_ylabel(two_lines(ylabel))
    legend_below(axes, drop=0.2)
    alt = f"{ylabel} against {xlabel}, for {', '.join(shown)}."
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, make_table(HEADER, _rows(drawing)))


def _draw_curve(axes: Axes, curve: ScaledCurve, pens: Mapping[str, Pen]) -> None:
    colour = pens[curve.series].colour if curve.series else INK
    width, dash, alpha = {"law": (1.5, "-", 1.0), "joint law": (0.9, (0, (4, 2)), 0.9)}.get(
        curve.kind, (0.7, "-", 0.3)
    )
    label = curve.name or None
    axes.plot(curve.x, curve.y, color=colour, linewidth=width, linestyle=dash, alpha=alpha, label=label)
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)


def _draw_point(axes: Axes, point: ScaledPoint, pen: Pen, *, labelled: bool) -> None:
    held_out = point.kind == "held out"
    scales = [point.x] * len(point.losses)
    axes.plot(scales, point.losses, ".", color=pen.colour, markersize=2.5, alpha=0.6, zorder=3)
    axes.plot(
        [point.x],
        [point.mean],
        linestyle="none",
        marker=pen.marker,
        color=pen.colour,
        markeredgecolor=INK if held_out else pen.colour,
        markersize=6.5 if held_out else 4.5,
        alpha=0.45 if point.kind == "other" else 1.0,
        label=point.series if labelled else None,
        zorder=4,
    )


def _draw_predictions(axes: Axes, drawing: ScalingDrawing) -> None:
    """Draw predictions as open diamonds with their intervals, shifted a little beside the measurement."""
    for place, one in enumerate(drawing.predictions):
        x = one.x * 1.06
        if one.low is not None and one.high is not None:
            axes.plot([x, x], [one.low, one.high], color=INK, linewidth=1.1, zorder=5)
            for end in (one.low, one.high):
                axes.plot([x], [end], "_", color=INK, markersize=6, zorder=5)
        label = None if place else "predicted"
        (line,) = axes.plot([x], [one.value], "D", color=INK, markersize=6.5, label=label, zorder=6)
        line.set(linestyle="none", markerfacecolor="none")


HEADER = ("kind", "series", "x", "loss", "low", "high", "trainings")


def _rows(drawing: ScalingDrawing) -> list[Sequence[Cell]]:
    """Return what is drawn."""
    points: list[Sequence[Cell]] = [
        (one.kind, one.series, one.x, one.mean, min(one.losses), max(one.losses), len(one.losses))
        for one in drawing.points
    ]
    predictions: list[Sequence[Cell]] = [
        ("predicted", "", one.x, one.value, one.low, one.high, None) for one in drawing.predictions
    ]
    curves: list[Sequence[Cell]] = [
        (curve.kind, curve.series, float(x), float(curve.y[place]), *_band(curve, place), None)
        for curve in drawing.curves
        for place, x in enumerate(curve.x)
    ]
    return [*points, *predictions, *curves]


def _band(curve: ScaledCurve, place: int) -> tuple[Cell, Cell]:
    if curve.low is None or curve.high is None:
        return None, None
    return float(curve.low[place]), float(curve.high[place])


@dataclass(frozen=True)
class ResidualPoint:
    """A cell beside the law of N and D: fitted, or held out.

    Attributes
    ----------
    series
        What it is drawn with.
    law
        Loss of the law.
    residual
        Mean ln L of the cell less that of the law.
    error
        Standard deviation of that mean over trainings; 0 where it is not known.
    held_out
        Whether the law has not seen it.
    """

    series: str
    law: float
    residual: float
    error: float
    held_out: bool


def residual_figure(
    points: Sequence[ResidualPoint], pens: Mapping[str, Pen], *, name: str, xlabel: str, caption: str
) -> Figure:
    """Draw residuals of the law in per cent of the loss."""
    figure, axes = canvas(height=HEIGHT + LEGEND_ROW * (len(pens) // 2 + 1))
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    shown: set[str] = set()
    for one in points:
        pen = pens[one.series]
        axes.errorbar(
            [one.law],
            [100 * one.residual],
            yerr=[100 * one.error],
            color=pen.colour,
            marker=pen.marker,
            markeredgecolor=INK if one.held_out else pen.colour,
            markersize=6.5 if one.held_out else 4.5,
            linewidth=1.0,
            linestyle="none",
            label=None if one.series in shown else one.series,
        )
        shown.add(one.series)
    reach = 1.25 * max(abs(end) for one in points for end in (_low(one), _high(one)))
    axes.set_ylim(-100 * reach, 100 * reach)
    axes.set_xlabel(xlabel, labelpad=2)
    axes.set_ylabel("measured less fitted (%)")
    legend_below(axes, drop=0.2)
    header = ("series", "law", "residual_ln", "error_ln", "held_out")
    rows = [(one.series, one.law, one.residual, one.error, int(one.held_out)) for one in points]
    alt = "Residuals of the law of parameters and rows."
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, make_table(header, rows))


def _low(point: ResidualPoint) -> float:
    return point.residual - point.error


def _high(point: ResidualPoint) -> float:
    return point.residual + point.error


def spread_over(low: float, high: float) -> FloatArray:
    """Return points between two scales, even in their logarithms, shape (P,)."""
    return np.geomspace(low, high, POINTS)
