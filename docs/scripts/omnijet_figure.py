"""Draw the pictures of docs/tokens.md and docs/showers.md: generated against real, from the evidence's folders.

python docs/scripts/omnijet_figure.py JETS SHOWERS    folders of omnijet_evidence.py and shower_evidence.py

Jets above: dijets of the pre-trained model. Jets below: top jets after fine-tuning with 1,000, seed 1. Showers: in
tungsten, by the pre-trained model. The first seed is drawn, whatever it looks like; what lies outside an axis is in
its outermost bin.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from hepfm.data.shower_grid import GRID_COLUMNS, grid_of
from hepfm.data.store import Store
from hepfm.metrics.generation.jets import FIELDS, jet_sample
from hepfm.metrics.generation.observables import observe
from hepfm.metrics.showers.sample import CELL_EDGES, Showers, showers
from hepfm.physics.voxels import load_voxels

IMAGES = Path(__file__).parents[1] / "images"
ROWS = 2000
JETS = {
    "mass": ("jet mass [GeV]", {"dijets": (0, 250), "tops": (0, 350)}),
    "pt": ("jet pT [GeV]", {"dijets": (450, 750), "tops": (450, 750)}),
    "multiplicity": ("constituents", {"dijets": (-0.5, 129.5), "tops": (-0.5, 129.5)}),
    "tau32": ("τ32", {"dijets": (0, 1), "tops": (0, 1)}),
}
COLOURS = {"real": "0.75", "generated": "C0", "pre-trained": "C0", "scratch": "C1"}


def jets(path: Path) -> Mapping[str, Any]:
    """Return the observables of a store's test jets."""
    store = Store.open(path)
    rows = np.asarray(store.split("test"))[:ROWS]
    return observe(jet_sample(store.read(FIELDS, rows), max_constituents=150), radius=0.8).values


def jets_picture(root: Path) -> None:
    """Draw dijets and top jets."""
    stores, made = root / "stores", root / "transfer"
    rows = {
        "dijets": {"real": stores / "dijets", "generated": made / "home-0-1-jets"},
        "tops": {
            "real": stores / "tops",
            "pre-trained": made / "pretrained-1000-1-jets",
            "scratch": made / "scratch-1000-1-jets",
        },
    }
    figure, axes = plt.subplots(2, 4, figsize=(14, 6.4), layout="constrained")
    for line, (kind, paths) in zip(axes, rows.items(), strict=True):
        found = {name: jets(path) for name, path in paths.items()}
        for axis, (observable, (title, ranges)) in zip(line, JETS.items(), strict=True):
            edges = np.linspace(*ranges[kind], 27 if observable == "multiplicity" else 41)
            for name, values in found.items():
                inside = np.clip(values[observable], edges[0], edges[-1])
                style = (
                    {"histtype": "stepfilled"} if name == "real" else {"histtype": "step", "linewidth": 1.5}
                )
                axis.hist(inside, edges, density=True, color=COLOURS[name], label=name, **style)
            axis.set(xlabel=title, ylabel="density")
        line[-1].legend(
            fontsize=8,
            loc="upper left",
            title={"dijets": "dijets", "tops": "top jets"}[kind],
            title_fontsize=8,
        )
    figure.savefig(IMAGES / "omnijet_generated.png", dpi=90)


def observed(path: Path) -> Showers:
    """Return what the metrics see of a store's test showers."""
    store, voxels = Store.open(path), load_voxels("dataset_2")
    rows = np.asarray(store.split("test"))[:ROWS]
    columns = store.read(["incident_energy", *GRID_COLUMNS], rows)
    grid, _ = grid_of(columns, voxels)
    return showers(grid, np.asarray(columns["incident_energy"], np.float64), voxels, threshold=15.15e-6)


def showers_picture(root: Path) -> None:
    """Draw showers in tungsten."""
    paths = {"real": root / "store_tungsten", "generated": root / "omnijet_alpha_c" / "home-0-1-showers"}
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained")
    for name, path in paths.items():
        found, colour = observed(path), COLOURS[name]
        style = {"histtype": "stepfilled"} if name == "real" else {"histtype": "step", "linewidth": 1.5}
        for axis, key, edges in (
            (axes[0], "energy_ratio", np.linspace(0.4, 1.6, 41)),
            (axes[1], "num_hits", np.linspace(0, 260, 41)),
        ):
            inside = np.clip(found.values[key], edges[0], edges[-1])
            axis.hist(inside, edges, density=True, color=colour, label=name, **style)
        fill = {"fill": name == "real", "color": colour, "baseline": None if name != "real" else 0}
        profile = found.longitudinal.sum(0) / found.longitudinal.sum()
        axes[2].stairs(profile, np.arange(46), **fill)
        axes[3].stairs(found.spectrum.sum(0) / len(found), CELL_EDGES * 1e3, **fill)
    axes[0].set(xlabel="energy of all hits / incident energy", ylabel="density")
    axes[1].set(xlabel="hits", ylabel="density")
    axes[2].set(xlabel="layer", ylabel="share of the energy")
    axes[3].set(
        xlabel="energy of a cell [MeV]", ylabel="cells per shower and bin", xscale="log", xlim=(1e-2, 1e3)
    )
    axes[0].legend(fontsize=8)
    figure.savefig(IMAGES / "omnijet_showers.png", dpi=90)


if __name__ == "__main__":
    jets_picture(Path(sys.argv[1]))
    showers_picture(Path(sys.argv[2]))
