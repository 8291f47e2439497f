"""Alignment of the layers of two networks as a heat map with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hepfm.core.guards import member, reading
from hepfm.report.figures.confusion import typical
from hepfm.report.figures.style import INK, SERIES, Figure, canvas, to_svg
from hepfm.report.sections import Group
from hepfm.report.table import Cell, make_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIMILARITY = "similarity.arrow"
"""What the task `similarity` writes: alignment of all pairs of layers."""

_COLUMNS = ("layer", "other_layer", "cka", "low", "high", "untrained")


def similarity_figure(group: Group, *, metric: str, name: str) -> Figure:
    """Draw the alignment of the median training of a group."""
    chosen = typical(group, metric)
    with (
        reading(chosen.path / SIMILARITY, what="alignments", fix="run hepfm evaluate again"),
        pa.memory_map(str(member(chosen.path, SIMILARITY))) as file,
    ):
        pairs = pa.ipc.open_file(file).read_all().select(list(_COLUMNS)).to_pylist()
    first, second = (list(dict.fromkeys(pair[key] for pair in pairs)) for key in _COLUMNS[:2])
    figure, axes = canvas(4.0, 3.9)
    for pair in pairs:
        _cell(axes, second.index(pair["other_layer"]), first.index(pair["layer"]), pair["cka"])
    axes.set_xlim(-0.5, len(second) - 0.5)
    axes.set_ylim(len(first) - 0.5, -0.5)
    axes.set_xticks(range(len(second)), second, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(first)), first)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("layer of the other model")
    axes.set_ylabel("layer")
    axes.set_title(group.label, fontsize=9.5, loc="left")
    same = [pair for pair in pairs if pair["layer"] == pair["other_layer"]]
    alt = f"Alignment of layers of {group.label}. Same layers: " + ", ".join(
        f"{pair['layer']} {pair['cka']:.2f}" for pair in same if np.isfinite(pair["cka"])
    )
    rows: list[list[Cell]] = [[pair[key] for key in _COLUMNS] for pair in pairs]
    caption = (
        f"Centred kernel alignment of every layer of {group.label} with every layer of "
        f"{chosen.file.task.options['other']}, on {chosen.file.data.rows:,} test rows; the training with the "
        f"median {metric} of {len(group.results)} (seed {chosen.seed}). The CSV file has the statistical "
        "uncertainty of the test rows (bootstrap 68%) and the alignment with an untrained network of the "
        "other model's architecture."
    )
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, make_table(_COLUMNS, rows))


def _cell(axes: Axes, x: int, y: int, value: float) -> None:
    from matplotlib.patches import Rectangle

    if not np.isfinite(value):
        return
    shade = 0.62 * float(np.clip(value, 0, 1))
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=SERIES[0], alpha=shade, linewidth=0))
    axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7, color=INK)
