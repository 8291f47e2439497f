"""A sample of showers and its high-level observables, as CaloChallenge defines them.

Of each layer: energy, sparsity (fraction of cells without energy), centre of energy in x and y and along the
radius, and the widths of these. Of the whole shower: energy over incident energy, hits, centres of gravity.
Definitions after the evaluation script of CaloChallenge (2410.21611), whose "eta" and "phi" are x and y here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.metrics.predictions import FloatArray
from hepfm.physics.voxels import Voxels

OBSERVABLES = {
    "energy_ratio": "energy over incident energy",
    "num_hits": "number of hits",
    "cog_x": "centre of gravity in x",
    "cog_y": "centre of gravity in y",
    "cog_layer": "centre of gravity in depth",
}
"""One number a shower, with the name that axes and tables use."""

OF_LAYERS = {
    "layer_energy": "energy of a layer",
    "sparsity": "sparsity of a layer",
    "centre_x": "centre of energy in x of a layer",
    "centre_y": "centre of energy in y of a layer",
    "width_x": "width in x of a layer",
    "width_y": "width in y of a layer",
    "centre_r": "centre of energy in r of a layer",
    "width_r": "width in r of a layer",
}
"""One number a shower and layer; NaN in layers without energy, but for energy and sparsity."""

_ROUNDING = 1e-9
"""Variances below, in mm^2, are rounding: those of layers with a single hit."""

CELL_EDGES = np.geomspace(1e-5, 1e3, 81)
"""Edges of the spectrum of cells in GeV, ten bins a decade."""


@dataclass(frozen=True)
class Showers:
    """What metrics see of R showers.

    Attributes
    ----------
    incident
        Incident energies in GeV, (R,).
    values
        The numbers of `OBSERVABLES`, (R,) each; centres are NaN for showers without a hit.
    layers
        The numbers of `OF_LAYERS`, (R, L) each; mm and GeV.
    spectrum
        Cells in the bins of `CELL_EDGES`, (R, 80).
    longitudinal, radial
        Energy by layer, (R, L), and by ring, (R, K).
    rings
        Mean radius of each ring in mm, (K,).
    """

    incident: FloatArray
    values: Mapping[str, FloatArray]
    layers: Mapping[str, FloatArray]
    spectrum: FloatArray
    longitudinal: FloatArray
    radial: FloatArray
    rings: FloatArray

    def __len__(self) -> int:
        return len(self.incident)

    def take(self, rows: npt.NDArray[np.int64]) -> Showers:
        """Return some of the showers."""
        return Showers(
            self.incident[rows],
            {name: values[rows] for name, values in self.values.items()},
            {name: values[rows] for name, values in self.layers.items()},
            self.spectrum[rows],
            self.longitudinal[rows],
            self.radial[rows],
            self.rings,
        )

    def features(self) -> FloatArray:
        """Return the high-level features that a classifier and the Frechet distance see, (R, F), finite.

        ln of the incident energy (GeV) over 10, energy ratio, ln of the layers' energies over 20, centres and
        widths over 100 mm (0 in layers without energy), sparsities. The constants are fixed, so that no
        feature is scaled by the little energy that a few showers leave in the last layers.
        """
        logs = [np.log(self.incident)[:, None] / 10, self.values["energy_ratio"][:, None]]
        logs.append(np.log(self.layers["layer_energy"] + 1e-8) / 20)
        lengths = [self.layers[name] / 100 for name in OF_LAYERS if name.startswith(("centre", "width"))]
        return np.nan_to_num(np.concatenate([*logs, *lengths, self.layers["sparsity"]], axis=1), nan=0.0)


def showers(grid_RV: FloatArray, incident: FloatArray, voxels: Voxels, *, threshold: float) -> Showers:
    """Return what metrics see of showers given as energies (GeV) of all cells.

    Parameters
    ----------
    grid_RV
        Shape (R, V); what lies below `threshold` (GeV) counts as empty.
    incident
        Incident energies in GeV, (R,).
    voxels
        The cells, of equally many rings and sectors in each layer.
    """
    grid_RV = np.where(grid_RV < threshold, 0.0, grid_RV)
    _, x_V, y_V = voxels.centres()
    num_layers = voxels.num_layers
    layers = _of_layers(grid_RV.reshape(len(grid_RV), num_layers, -1), *_split(x_V, y_V, num_layers))
    total, energy_RL = grid_RV.sum(axis=1), layers["layer_energy"]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "energy_ratio": total / incident,
            "num_hits": (grid_RV > 0).sum(axis=1).astype(np.float64),
            "cog_x": grid_RV @ x_V / total,
            "cog_y": grid_RV @ y_V / total,
            "cog_layer": energy_RL @ np.arange(num_layers) / total,
        }
    radius_V = np.hypot(x_V, y_V).round(6)
    rings, ring_V = np.unique(radius_V, return_inverse=True)
    in_ring = (ring_V[:, None] == np.arange(len(rings))).astype(np.float64)
    return Showers(incident, values, layers, _spectrum(grid_RV), energy_RL, grid_RV @ in_ring, rings)


def _split(x_V: FloatArray, y_V: FloatArray, num_layers: int) -> tuple[FloatArray, FloatArray]:
    return x_V.reshape(num_layers, -1), y_V.reshape(num_layers, -1)


def _of_layers(grid_RLC: FloatArray, x_LC: FloatArray, y_LC: FloatArray) -> dict[str, FloatArray]:
    energy_RL = grid_RLC.sum(axis=2)
    numbers = {"layer_energy": energy_RL, "sparsity": 1 - (grid_RLC > 0).mean(axis=2)}
    safe_RL = np.where(energy_RL > 0, energy_RL, np.nan)
    for name, place_LC in (("x", x_LC), ("y", y_LC), ("r", np.hypot(x_LC, y_LC))):
        mean_RL = np.einsum("rlc,lc->rl", grid_RLC, place_LC) / safe_RL
        square_RL = np.einsum("rlc,lc->rl", grid_RLC, place_LC**2) / safe_RL
        numbers[f"centre_{name}"] = mean_RL
        variance_RL = square_RL - mean_RL**2
        numbers[f"width_{name}"] = np.sqrt(np.where(variance_RL > _ROUNDING, variance_RL, 0.0 * variance_RL))
    return numbers


def _spectrum(grid_RV: FloatArray) -> FloatArray:
    row, cell = np.nonzero(grid_RV)
    place = np.searchsorted(CELL_EDGES, grid_RV[row, cell], side="right") - 1
    bins = len(CELL_EDGES) - 1
    place = np.clip(place, 0, bins - 1)
    counts = np.bincount(row * bins + place, minlength=len(grid_RV) * bins)
    return counts.reshape(len(grid_RV), bins).astype(np.float64)
