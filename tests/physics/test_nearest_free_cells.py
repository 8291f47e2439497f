"""Hits that get a cell of their own."""

from __future__ import annotations

import numpy as np

from hepfm.physics.nearest_free_cells import nearest_free_cells
from hepfm.physics.voxels import CALOCHALLENGE, Layer, Voxels

FOUR = Voxels(tuple(Layer(number, (0.0, 1.0), 1) for number in range(4)))
"""Four layers of a single cell each, so that the cell is the layer."""


def test_the_most_energetic_stays_and_the_others_go_to_the_nearest_free_layer() -> None:
    layer = np.array([1, 1, 1, 1, 1])
    energy = np.array([2.0, 5.0, 1.0, 4.0, 3.0])
    found = nearest_free_cells(FOUR, np.zeros(5, np.int64), layer, np.full(5, 0.5), np.zeros(5), energy)
    # In falling order of energy: stays in 1, then 2, 0, 3; the fifth finds nothing.
    assert found.tolist() == [3, 1, -1, 2, 0]


def test_showers_do_not_see_each_other_and_hits_outside_have_no_cell() -> None:
    row = np.array([0, 1, 1, 1])
    found = nearest_free_cells(
        FOUR, row, np.array([2, 2, 2, 9]), np.array([0.5, 0.5, 3.0, 0.5]), np.zeros(4), row + 1.0
    )
    assert found.tolist() == [2, 2, -1, -1]


def test_random_showers_share_no_cell_and_hits_that_are_alone_stay() -> None:
    voxels = CALOCHALLENGE["dataset_2"]
    rng = np.random.default_rng(0)
    n = 20_000
    row, layer = rng.integers(0, 50, n), rng.integers(0, 45, n)
    x, y = rng.normal(0, 8, (2, n))
    energy = rng.exponential(1.0, n)
    found = nearest_free_cells(voxels, row, layer, x, y, energy)
    kept = found >= 0
    assert len(np.unique(row[kept] * len(voxels) + found[kept])) == kept.sum()
    assert np.array_equal(~kept, voxels.cells(layer, x, y) < 0)  # columns of 45 cells are never full here
    wanted = row * len(voxels) + voxels.cells(layer, x, y)
    _, place, counts = np.unique(wanted, return_inverse=True, return_counts=True)
    winners = np.zeros(n, np.bool_)
    order = np.lexsort((-energy, wanted))
    winners[order[np.unique(wanted[order], return_index=True)[1]]] = True
    assert np.array_equal(found[winners & kept], voxels.cells(layer, x, y)[winners & kept])
    moved = kept & ~winners
    assert moved.sum() > 1000
    # A moved hit keeps its ring and its sector.
    cells_of_layer = 16 * 9
    assert np.array_equal(found[moved] % cells_of_layer, (wanted[moved] % len(voxels)) % cells_of_layer)
    assert counts[place].max() > 3
