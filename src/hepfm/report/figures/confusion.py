"""Confusion matrix as a heat map with its numbers in per cent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepfm.metrics.confusion import Confusion, confusion
from hepfm.report.figures.style import INK, SERIES, Figure, canvas, to_svg
from hepfm.report.sections import Group, Result
from hepfm.report.table import Cell, Numbers, make_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def typical(group: Group, metric: str) -> Result:
    """Return the training of a group whose metric is the (lower) median over trainings."""
    ordered = sorted(group.results, key=lambda result: result.file.metric(metric).value or 0.0)
    return ordered[(len(ordered) - 1) // 2]


def confusion_figure(group: Group, *, metric: str, name: str) -> Figure:
    """Draw the matrix of the median training of a group."""
    chosen = typical(group, metric)
    matrix = confusion(chosen.predictions())
    size = len(matrix.classes)
    figure, axes = canvas(4.0, 3.9)
    for true in range(size):
        for predicted in range(size):
            _cell(axes, predicted, true, float(matrix.fractions[true, predicted]))
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_xticks(range(size), matrix.classes, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), matrix.classes)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(group.label, fontsize=9.5, loc="left")
    right = ", ".join(f"{c} {100 * matrix.fractions[k, k]:.0f}%" for k, c in enumerate(matrix.classes))
    alt = f"Confusion matrix of {group.label}. Fraction classified correctly: {right}."
    return Figure(
        name, to_svg(figure, name, title=alt), alt, _caption(group, chosen, matrix, metric), _table(matrix)
    )


def _cell(axes: Axes, x: int, y: int, fraction: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (x - 0.5, y - 0.5),
            1,
            1,
            facecolor=SERIES[0],
            alpha=0.62 * min(max(fraction, 0), 1) ** 0.7,
            linewidth=0,
        )
    )
    percent = 100 * fraction
    if percent >= 0.5:
        axes.text(x, y, f"{percent:.0f}", ha="center", va="center", fontsize=8, color=INK)


def _caption(group: Group, chosen: Result, matrix: Confusion, metric: str) -> str:
    totals = matrix.counts.sum(axis=1)
    widest = float(((matrix.high - matrix.low) / 2).max())
    return (
        "Fraction in per cent of each true class (rows) that is assigned to each class (the most probable "
        f"one), {group.label}; the training with the median {metric} of {len(group.results)} (seed "
        f"{chosen.seed}). {int(totals.min()):,} to {int(totals.max()):,} test rows per class; statistical "
        f"uncertainty of the test rows (Clopper-Pearson 68%) at most {100 * widest:.1f} percentage points. "
        "Fractions below 0.5% are left blank."
    )


def _table(matrix: Confusion) -> Numbers:
    rows: list[list[Cell]] = [
        [matrix.classes[i], matrix.classes[j], int(matrix.counts[i, j]), *map(float, _ends(matrix, i, j))]
        for i, j in np.ndindex(matrix.counts.shape)
    ]
    return make_table(("true", "predicted", "rows", "fraction", "test_low", "test_high"), rows)


def _ends(matrix: Confusion, i: int, j: int) -> tuple[float, float, float]:
    return matrix.fractions[i, j], matrix.low[i, j], matrix.high[i, j]
