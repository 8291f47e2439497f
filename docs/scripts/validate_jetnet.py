"""Jets of the recipe ``jetnet150``: numbers and figure of the documentation.

    hepfm simulate jetnet150 -o jets jets.train=1500 jets.val=0 jets.test=0 --seed 7
    hepfm simulate jetnet150 -o wide jets.train=500 jets.val=0 jets.test=0 selection.radius=0.8 --seed 7
    python docs/scripts/validate_jetnet.py jets --wide wide -o docs

Writes ``data/jetnet_validation.json`` and ``images/simulation_jetnet.png``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from hepfm.data.context import jet_mass
from hepfm.data.store import Store
from hepfm.physics.kinematics import four_momentum, mass_of, wrap_phi

mpl.use("Agg")
import matplotlib.pyplot as plt

RESONANCES = {"t": 172.5, "w": 80.4, "z": 91.2}
BANDWIDTH = 2.0
"""GeV, of the Gaussian kernel whose highest point is called the peak."""
HARDEST = 30
"""Constituents of the smaller one of the published sets."""


def read(store: Store) -> dict[str, Any]:
    """Return all columns of all rows, and mass (GeV) and share of pt of the stored constituents."""
    jets = dict(store.read(list(store.schema.names()), np.arange(store.num_rows)))
    parts = (jets[f"part_{name}"].values.astype(float) for name in ("pt", "eta", "phi", "energy"))
    starts = jets["part_pt"].offsets[:-1]
    jets["mass"] = mass_of(np.add.reduceat(four_momentum(*parts), starts))
    jets["share"] = np.add.reduceat(jets["part_pt"].values, starts) / jets["jet_pt"]
    return jets


def peak(masses: np.ndarray) -> float:
    """Return the highest point of a Gaussian kernel estimate between 40 and 220 GeV."""
    grid = np.arange(40.0, 220.0, 0.25)
    return float(grid[np.exp(-0.5 * ((grid[:, None] - masses) / BANDWIDTH) ** 2).sum(axis=1).argmax()])


def farthest(jets: dict[str, Any], rows: np.ndarray) -> float:
    """Return the largest |phi_rel| of the hardest constituents of some jets."""
    phi = jets["part_phi"]
    rank = np.arange(len(phi.values)) - np.repeat(phi.offsets[:-1], phi.lengths)
    row = phi.row_index()
    distance = np.abs(wrap_phi(phi.values - jets["jet_phi"][row]))
    return float(distance[(rank < HARDEST) & rows[row]].max())


def numbers(jets: dict[str, Any], name: str, label: int) -> dict[str, float]:
    """Return what is said of a class."""
    rows = jets["jet_label"] == label
    mass, count = jets["mass"][rows], jets["part_pt"].lengths[rows]
    whole = jet_mass(jets["jet_pt"], jets["jet_eta"], jets["jet_energy"])[rows]
    found = {
        "jets": int(rows.sum()),
        "constituents": float(count.mean()),
        "jets at 150": float((count == 150).mean()),
        "share of pt": float(jets["share"][rows].mean()),
        "median mass over pt": float(np.median(whole / jets["jet_pt"][rows])),
        "farthest of the 30 hardest": farthest(jets, rows),
    }
    if name in RESONANCES:
        rng = np.random.default_rng(0)
        found["peak"] = peak(mass)
        found["peak error"] = float(np.std([peak(rng.choice(mass, len(mass))) for _ in range(25)]))
        found["expected"] = RESONANCES[name]
    return found


def plot(jets: dict[str, Any], classes: tuple[str, ...], path: Path) -> None:
    """Draw mass and number of constituents of each class."""
    panels = [
        ("mass of the constituents (GeV)", jets["mass"], np.arange(0, 241, 4)),
        ("constituents", jets["part_pt"].lengths, np.arange(0, 151, 5)),
    ]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for axis, (label, values, bins) in zip(axes, panels, strict=True):
        for number, name in enumerate(classes):
            axis.hist(values[jets["jet_label"] == number], bins, density=True, histtype="step", label=name)
        axis.set(xlabel=label, ylabel="density")
    for mass in RESONANCES.values():
        axes[0].axvline(mass, color="0.7", linewidth=0.8, zorder=0)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Read the stores and write numbers and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--wide", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for key, path in (("radius 0.4", options.store), ("radius 0.8", options.wide)):
        store = Store.open(path)
        jets, classes = read(store), store.schema.label_classes
        origin = {
            name: store.manifest.provenance[name] for name in ("seed", "recipe_fingerprint", "versions")
        }
        rows = {name: numbers(jets, name, label) for label, name in enumerate(classes)}
        result[key] = {"store": origin, "classes": rows}
        if path == options.store:
            plot(jets, classes, options.output / "images" / "simulation_jetnet.png")
    (options.output / "data" / "jetnet_validation.json").write_text(json.dumps(result, indent=2) + "\n")
    for key, part in result.items():
        for name, row in part["classes"].items():
            print(key, name, {column: round(value, 4) for column, value in row.items()})


if __name__ == "__main__":
    main()
