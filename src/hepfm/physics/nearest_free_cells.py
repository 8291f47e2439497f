"""Hits of showers into cells so that each has one of its own, as OmniJet-alpha_C does it (2501.05534)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hepfm.physics.voxels import Floats, Ints, Voxels


def nearest_free_cells(voxels: Voxels, row: Ints, layer: Ints, x: Floats, y: Floats, energy: Floats) -> Ints:
    """Return the cell of each hit, shape (n,); no two hits of a shower share one.

    Of hits that lie in one cell the most energetic keeps it. The others go to the nearest layer whose cell
    at their place is free, deeper ones first: the next, the one before, the second next, ... . Where no layer
    has one, and for hits that lie in no cell, the cell is -1.

    Parameters
    ----------
    voxels
        The cells.
    row
        Number of the shower, from 0.
    layer
        Number of the layer.
    x, y
        Place across the shower in mm.
    energy
        Any unit; it only orders the hits.
    """
    cell_of_hit = np.full(len(row), -1, np.int64)
    order = np.lexsort((-np.asarray(energy, np.float64), row))
    taken = np.zeros(0, np.int64)
    for offset in _offsets(voxels):
        cell = voxels.cells(layer[order] + offset, x[order], y[order])
        if offset == 0:
            order, cell = order[cell >= 0], cell[cell >= 0]
        wanted = np.where(cell >= 0, row[order] * len(voxels) + cell, -1)
        # Hits stand in falling order of energy, so the first of those that want a cell is the one to have it.
        first = np.zeros(len(order), np.bool_)
        first[np.unique(wanted, return_index=True)[1]] = True
        placed = first & (wanted >= 0) & ~np.isin(wanted, taken)
        cell_of_hit[order[placed]] = cell[placed]
        taken = np.concatenate([taken, wanted[placed]])
        order = order[~placed]
        if not len(order):
            break
    return cell_of_hit


def _offsets(voxels: Voxels) -> Iterator[int]:
    """Yield 0, 1, -1, 2, -2, ... as far as layers are apart."""
    numbers = [layer.number for layer in voxels.layers]
    yield 0
    for distance in range(1, max(numbers) - min(numbers) + 1):
        yield from (distance, -distance)
