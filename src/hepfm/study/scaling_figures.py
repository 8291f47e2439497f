"""The figures of an arm's scaling laws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hepfm.metrics.predictions import FloatArray
from hepfm.report.figures.scaling import (
    PredictedPoint,
    ResidualPoint,
    ScaledCurve,
    ScaledPoint,
    ScalingDrawing,
    residual_figure,
    scaling_figure,
    spread_over,
)
from hepfm.report.figures.style import Figure, Pen, pens
from hepfm.study.scaling_fits import ArmScaling, NamedLaw, ScaledCell, compute, parameters, rows

N_AXIS = "parameters N (no embedding, no heads)"
D_AXIS = "pre-training rows D"
C_AXIS = "compute: 6 N for each constituent seen (FLOP)"
WIDER = 1.25
"""How far curves go beyond the outermost points."""

POINTS = (
    " Markers: geometric means of trainings, dots: the trainings. Line with band: the law of {what}, with "
    "its {level:.0%} interval. "
)
HELD_OUT = "Ringed: held out of every fit. Diamond: its prediction by the law of N and D, with its interval."
UNIT = " The loss is that of the arm's objective (cross-entropies in nats)."


def arm_figures(arm: ArmScaling) -> tuple[Figure, ...]:
    """Return loss against N, D and compute, and the residuals of the law of N and D."""
    by_rows, by_size = _row_series, _size_series
    residuals = [] if arm.joint.fit is None else [_residuals(arm)]
    return (
        _figure(arm, arm.by_parameters, parameters, by_rows, N_AXIS, fixed="rows"),
        _figure(arm, arm.by_rows, rows, by_size, D_AXIS, fixed="parameters"),
        _figure(arm, arm.by_compute, compute, by_size, C_AXIS, fixed=None),
        *residuals,
    )


def _row_series(cell: ScaledCell) -> str:
    return f"D = {cell.training_rows:,}"


def _size_series(cell: ScaledCell) -> str:
    return f"{cell.size} (N = {cell.parameters:,})"


def _pens(arm: ArmScaling, series: Callable[[ScaledCell], str]) -> dict[str, Pen]:
    cells = sorted(_drawn(arm), key=lambda cell: (cell.training_rows, cell.parameters))
    return pens(list(dict.fromkeys(series(cell) for cell in cells)), "")


def _drawn(arm: ArmScaling) -> tuple[ScaledCell, ...]:
    """Return the cells with trainings that count."""
    return tuple(cell for cell in arm.cells if cell.trainings)


def _figure(
    arm: ArmScaling,
    law: NamedLaw,
    x: Callable[[ScaledCell], tuple[float, ...]],
    series: Callable[[ScaledCell], str],
    xlabel: str,
    *,
    fixed: str | None,
) -> Figure:
    drawing = ScalingDrawing(
        points=tuple(_point(cell, law, x, series) for cell in _drawn(arm)),
        curves=tuple(_curves(arm, law, x, series, fixed)),
        predictions=tuple(_predictions(arm, x)),
    )
    thin = (
        "Thin: validation losses of one training of each cell. "
        if fixed is None
        else f"Dashed: the law of N and D for each {'D' if fixed == 'rows' else 'N'}. "
    )
    caption = (
        f"{arm.arm}: loss of pre-training at the best validation against {xlabel}."
        + POINTS.format(what=law.title, level=arm.grid.level)
        + thin
        + (HELD_OUT if arm.predictions else "")
        + UNIT
    )
    name = f"scaling-{arm.arm}-{law.key}"
    return scaling_figure(
        drawing, _pens(arm, series), name=name, xlabel=xlabel, ylabel="validation loss", caption=caption
    )


def _point(
    cell: ScaledCell,
    law: NamedLaw,
    x: Callable[[ScaledCell], tuple[float, ...]],
    series: Callable[[ScaledCell], str],
) -> ScaledPoint:
    kind = "held out" if cell.predicted else "fitted" if cell in law.cells else "other"
    return ScaledPoint(series(cell), x(cell)[0], cell.mean, cell.losses, kind)  # type: ignore[arg-type]


def _predictions(arm: ArmScaling, x: Callable[[ScaledCell], tuple[float, ...]]) -> Iterator[PredictedPoint]:
    """Yield predictions; compute is known only of cells that are trained."""
    for one in arm.predictions:
        if one.predicted is not None and (one.cell.trainings or x is not compute):
            yield PredictedPoint(x(one.cell)[0], one.predicted.value, one.predicted.low, one.predicted.high)


def _curves(
    arm: ArmScaling,
    law: NamedLaw,
    x: Callable[[ScaledCell], tuple[float, ...]],
    series: Callable[[ScaledCell], str],
    fixed: str | None,
) -> Iterator[ScaledCurve]:
    cells = [cell for cell in arm.cells if cell.trainings or (cell.predicted and x is not compute)]
    scales = [x(cell)[0] for cell in cells]
    grid = spread_over(min(scales) / WIDER, max(scales) * WIDER)
    if fixed is None:
        yield from (_training(cell, series(cell)) for cell in _drawn(arm))
    elif arm.joint.fit is not None:
        yield from _joint(arm, grid, series, fixed)
    if law.fit is not None:
        band = law.fit.band(grid[:, None])
        low, high = band if band is not None else (None, None)
        yield ScaledCurve("law", "", "law", grid, law.fit.law.loss(grid[:, None]), low, high)


def _joint(
    arm: ArmScaling, grid: FloatArray, series: Callable[[ScaledCell], str], fixed: str
) -> Iterator[ScaledCurve]:
    """Yield the law of N and D against one of them for each value of the other."""
    assert arm.joint.fit is not None
    seen: set[str] = set()
    for cell in arm.fitted:
        if series(cell) in seen:
            continue
        seen.add(series(cell))
        other = np.full_like(grid, cell.training_rows if fixed == "rows" else cell.parameters, dtype=float)
        pair = (grid, other) if fixed == "rows" else (other, grid)
        losses = arm.joint.fit.law.loss(np.column_stack(pair))
        yield ScaledCurve("", series(cell), "joint law", grid, losses)


def _training(cell: ScaledCell, series: str) -> ScaledCurve:
    """Return the validation losses of the first training of a cell, up to the best one."""
    one = cell.trainings[0]
    kept = [(step, loss) for step, loss in one.losses if step <= one.best_step]
    steps, losses = np.array(kept, float).T
    return ScaledCurve("", series, "training", one.flops * steps / one.best_step, losses)


def _residuals(arm: ArmScaling) -> Figure:
    fit = arm.joint.fit
    assert fit is not None
    points = [_residual(arm, cell) for cell in _drawn(arm)]
    caption = (
        f"{arm.arm}: mean ln L of each cell less that of the law of N and D. Bars: standard deviation of the "
        "mean over trainings, from the scatter of all cells. Ringed: held out of the fit."
    )
    return residual_figure(
        points,
        _pens(arm, _size_series),
        name=f"scaling-{arm.arm}-residuals",
        xlabel="loss of the law of N and D",
        caption=caption,
    )


def _residual(arm: ArmScaling, cell: ScaledCell) -> ResidualPoint:
    assert arm.joint.fit is not None
    pair: Sequence[Sequence[float]] = [[cell.parameters, cell.training_rows]]
    law = float(arm.joint.fit.law.loss(np.array(pair, float))[0])
    error = (arm.joint.fit.spread or 0.0) / math.sqrt(len(cell.trainings))
    return ResidualPoint(
        _size_series(cell), law, math.log(cell.mean / law), error, held_out=bool(cell.predicted)
    )
