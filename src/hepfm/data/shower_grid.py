"""Showers as hits in a store, and as energies of all cells of a calorimeter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.physics.nearest_free_cells import nearest_free_cells
from hepfm.physics.voxels import Voxels

GRID_COLUMNS = ("hit_energy", "hit_x", "hit_y", "hit_layer")
"""Fields of a store that `grid_of` needs."""


def hits_of(
    grid_RV: Array, incident_energy: Array, voxels: Voxels, *, threshold: float
) -> dict[str, Array | Ragged]:
    """Return the columns of showers given as energies of all cells.

    Parameters
    ----------
    grid_RV
        Energies in GeV; cells below `threshold` (GeV), or without energy, are no hits.
    incident_energy
        In GeV, shape (R,).
    voxels
        The cells.

    Returns
    -------
    dict
        The fields of `hepfm.data.schemas.showers.shower_schema`; a hit lies at its cell's centre, and the
        hits of a shower stand in falling order of energy.
    """
    row, cell = np.nonzero((grid_RV > 0) & (grid_RV >= threshold))
    order = np.lexsort((-grid_RV[row, cell], row))
    row, cell = row[order], cell[order]
    layer_V, x_V, y_V = voxels.centres()
    lengths = np.bincount(row, minlength=len(grid_RV))
    hit_energy = grid_RV[row, cell].astype(np.float32)

    def hits(values: Array, dtype: str = "float32") -> Ragged:
        return Ragged.from_lengths(values.astype(dtype), lengths)

    return {
        "incident_energy": np.asarray(incident_energy, np.float32),
        "shower_energy": np.bincount(row, hit_energy, minlength=len(grid_RV)).astype(np.float32),
        "hit_energy": hits(hit_energy),
        "hit_x": hits(x_V[cell]),
        "hit_y": hits(y_V[cell]),
        "hit_layer": hits(layer_V[cell], "int16"),
    }


def hits_in_cells(columns: Columns, voxels: Voxels) -> dict[str, Array | Ragged]:
    """Return the columns of showers with each hit at the centre of a cell of its own.

    Hits for which `hepfm.physics.nearest_free_cells` finds no cell are left out, and their energy with them.

    Parameters
    ----------
    columns
        Energies and places of hits, the fields `GRID_COLUMNS`.
    voxels
        The cells.

    Returns
    -------
    dict
        These fields and ``shower_energy``.
    """
    hits = {name: lists(columns, name) for name in GRID_COLUMNS}
    energy, row = hits["hit_energy"].values, hits["hit_energy"].row_index()
    layer, x, y = (hits[name].values for name in ("hit_layer", "hit_x", "hit_y"))
    cell = nearest_free_cells(voxels, row, layer.astype(np.int64), x, y, energy)
    kept = cell >= 0
    cell, row, rows = cell[kept], row[kept], len(hits["hit_energy"])
    lengths = np.bincount(row, minlength=rows)
    places = {"hit_energy": energy[kept]}
    places |= dict(zip(("hit_layer", "hit_x", "hit_y"), (of[cell] for of in voxels.centres()), strict=True))
    hits_kept: dict[str, Array | Ragged] = {
        name: Ragged.from_lengths(values.astype(hits[name].values.dtype), lengths)
        for name, values in places.items()
    }
    hits_kept["shower_energy"] = np.bincount(row, energy[kept], minlength=rows).astype(np.float32)
    return hits_kept


def grid_of(columns: Columns, voxels: Voxels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the energies (GeV) of all cells, (R, V), and how many hits of each shower lie in none, (R,)."""
    energy = lists(columns, "hit_energy")
    layer, x, y = (lists(columns, name).values for name in ("hit_layer", "hit_x", "hit_y"))
    cell, row = voxels.cells(layer, x, y), energy.row_index()
    inside, number, rows = cell >= 0, len(voxels), len(energy)
    place, weight = row[inside] * number + cell[inside], energy.values[inside]
    grid: npt.NDArray[np.float64] = np.bincount(place, weight, minlength=rows * number).astype(np.float64)
    outside: npt.NDArray[np.int64] = np.bincount(row[~inside], minlength=rows).astype(np.int64)
    return grid.reshape(rows, number), outside
