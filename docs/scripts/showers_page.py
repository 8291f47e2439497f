"""Draw the picture of docs/showers.md: python docs/scripts/showers_page.py STORE."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from hepfm.data.shower_grid import GRID_COLUMNS, grid_of
from hepfm.data.store import Store
from hepfm.metrics.showers.sample import CELL_EDGES, showers
from hepfm.physics.voxels import load_voxels
from hepfm.simulate.parametrised_shower import SILICON, TUNGSTEN, SamplingCalorimeter, longitudinal

DOCS = Path(__file__).parents[1]
ENERGIES = ((1, 3), (10, 30), (100, 300))
PLATES = SamplingCalorimeter(TUNGSTEN, SILICON, 1.4, 0.3, 0.17)


def picture(path: str) -> None:
    """Draw response, profiles, hits and cells of a store in three ranges of the incident energy."""
    store, voxels = Store.open(path), load_voxels("dataset_2")
    columns = store.read(["incident_energy", *GRID_COLUMNS], store.split("test"))
    grid, _ = grid_of(columns, voxels)
    found = showers(grid, np.asarray(columns["incident_energy"], np.float64), voxels, threshold=15.15e-6)
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.4), layout="constrained")
    x0_of_layer = 3.4 / PLATES.radiation_length_mm
    for low, high in ENERGIES:
        here = np.flatnonzero((found.incident >= low) & (found.incident < high))
        part, name = found.take(here), f"{low} to {high} GeV ({len(here)} showers)"
        line = axes[0, 0].hist(
            part.values["energy_ratio"], np.linspace(0.5, 1.5, 81), density=True, histtype="step", label=name
        )[2][0]
        colour = line.get_edgecolor()
        profile = part.longitudinal.sum(0) / part.longitudinal.sum()
        depth = (np.arange(45) + 0.5) * x0_of_layer
        axes[0, 1].stairs(
            profile / x0_of_layer, np.arange(46) * x0_of_layer, color=colour, label=name, baseline=None
        )
        middle = float(np.exp(np.log(part.incident).mean()))
        expected = float(np.exp(longitudinal(np.array([middle]), PLATES).log_depth[0]))
        axes[0, 1].axvline(expected, color=colour, linestyle=":", linewidth=1)
        area = np.pi * np.diff((np.arange(10) * 4.65) ** 2)
        across = part.radial.sum(0) / part.radial.sum() / area
        axes[0, 2].stairs(across, np.arange(10) * 4.65, color=colour, label=name, baseline=None)
        counts = part.spectrum.sum(0) / len(part)
        axes[1, 1].stairs(counts, CELL_EDGES * 1e3, color=colour, label=name, baseline=None)
        axes[1, 2].plot(
            depth, part.layers["width_r"].mean(0, where=~np.isnan(part.layers["width_r"])), color=colour
        )
    axes[1, 0].scatter(found.incident, found.values["num_hits"], s=3, alpha=0.4)
    labels = (
        (axes[0, 0], "energy of all hits / incident energy", "density", "linear", "linear"),
        (
            axes[0, 1],
            "depth [X0]; dotted: mean maximum of the formula",
            "share of the energy per X0",
            "linear",
            "linear",
        ),
        (axes[0, 2], "radius [mm]", "share of the energy per mm²", "linear", "log"),
        (axes[1, 0], "incident energy [GeV]", "hits above 15.15 keV", "log", "log"),
        (axes[1, 1], "energy of a cell [MeV]", "cells per shower and bin", "log", "log"),
        (axes[1, 2], "depth [X0]", "mean radial width of a layer [mm]", "linear", "linear"),
    )
    for axis, x, y, x_scale, y_scale in labels:
        axis.set(xlabel=x, ylabel=y, xscale=x_scale, yscale=y_scale)
    axes[1, 1].set_xlim(1e-2, 1e5)
    axes[0, 1].legend(fontsize=8, loc="upper right")
    figure.savefig(DOCS / "images" / "showers.png", dpi=90)


if __name__ == "__main__":
    picture(sys.argv[1])
