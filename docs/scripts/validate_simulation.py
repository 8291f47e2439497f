"""Validation of the simulated JetClass jets: table, peaks and figures of the documentation.

    python docs/scripts/validate_simulation.py STORE --as-meant CMS_STORE -o docs

STORE is made with the recipe ``jetclass``, CMS_STORE with ``jetclass_cms`` (the six classes of `RESONANCES`).
Writes ``data/simulation_validation.json``, ``data/simulation_averages.csv`` and ``images/simulation_*.png``.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES
from hepfm.data.store import Store
from hepfm.physics.kinematics import four_momentum, mass_of, wrap_phi

mpl.use("Agg")
import matplotlib.pyplot as plt

# Published: normalisation constants of the public OmniLearn code (first eleven rows), input averages of the
# public ParticleNet of the Particle Transformer's authors (the others).
JETCLASS = {
    "jet pt, mean (GeV)": 618.2,
    "jet pt, std (GeV)": 106.7,
    "jet eta, std": 0.890,
    "jet mass, mean (GeV)": 120.6,
    "jet mass, std (GeV)": 40.2,
    "constituents, mean": 39.4,
    "constituents, std": 15.1,
    "ln pt, mean": 1.900,
    "ln energy, mean": 2.245,
    "ln pt, std": 1.221,
    "ln energy, std": 1.234,
    "charged hadrons": 18.7,
    "photons": 16.0,
    "neutral hadrons": 4.22,
    "electrons": 0.34,
    "muons": 0.235,
    "sum of d0 errors (mm)": 0.585,
    "sum of dz errors (mm)": 1.49,
}
RESONANCES = {"Wqq": 80.4, "Zqq": 91.2, "Hcc": 125.0, "Hgg": 125.0, "H4q": 125.0, "Tbqq": 172.5}
BANDWIDTH = 3.0
"""GeV, of the Gaussian kernel whose highest point is called the peak."""


def read(store: Store) -> dict[str, Any]:
    """Return all columns of all rows."""
    return dict(store.read(list(store.schema.names()), np.arange(store.num_rows)))


def averages(jets: dict[str, Any]) -> dict[str, float]:
    """Return our value of every row of `JETCLASS`."""
    number = len(jets["jet_pt"])
    mass = mass_of(
        four_momentum(*(jets[f"jet_{name}"].astype(float) for name in ("pt", "eta", "phi", "energy")))
    )
    lengths = jets["part_pt"].lengths
    log_pt, log_energy = np.log(jets["part_pt"].values), np.log(jets["part_energy"].values)
    pid = np.bincount(jets["part_pid"].values, minlength=len(PID_CLASSES)) / number
    values = [jets["jet_pt"].mean(), jets["jet_pt"].std(), jets["jet_eta"].std(), mass.mean(), mass.std()]
    values += [
        lengths.mean(),
        lengths.std(),
        log_pt.mean(),
        log_energy.mean(),
        log_pt.std(),
        log_energy.std(),
    ]
    values += [
        pid[PID_CLASSES.index(n)] for n in ("charged_hadron", "photon", "neutral_hadron", "electron", "muon")
    ]
    values += [np.minimum(jets[f"part_{n}_error"].values, 1).sum() / number for n in ("d0", "dz")]
    return {name: float(value) for name, value in zip(JETCLASS, values, strict=True)}


def peak(masses: np.ndarray) -> float:
    """Return the highest point of a Gaussian kernel estimate between 40 and 220 GeV."""
    grid = np.arange(40.0, 220.0, 0.25)
    return float(grid[np.exp(-0.5 * ((grid[:, None] - masses) / BANDWIDTH) ** 2).sum(axis=1).argmax()])


def peaks(jets: dict[str, Any], classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the soft-drop peak of each resonance with its bootstrap error, and the mass it should have."""
    rng, found = np.random.default_rng(0), {}
    for name, mass in RESONANCES.items():
        values = jets["jet_softdrop_mass"][jets["jet_label"] == classes.index(name)]
        draws = [peak(rng.choice(values, len(values))) for _ in range(25)]
        found[name] = {
            "peak": peak(values),
            "error": float(np.std(draws)),
            "expected": mass,
            "n": len(values),
        }
    return found


def orders(jets: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the class averages whose order is known."""
    tau = [jets[f"jet_tau{n}"] for n in (1, 2, 3)]
    d0, error = jets["part_d0"], jets["part_d0_error"].values
    far = (error > 0) & (np.abs(d0.values) > 5 * error)
    per_jet = {
        "constituents": jets["part_pt"].lengths,
        "tau21": tau[1] / tau[0],
        "tau32": tau[2] / tau[1],
        "displaced tracks": np.bincount(d0.row_index(), far, minlength=len(d0)),
    }
    masks = {name: jets["jet_label"] == i for i, name in enumerate(JETCLASS_CLASSES)}
    return {key: {name: float(x[mask].mean()) for name, mask in masks.items()} for key, x in per_jet.items()}


def plot_jets(jets: dict[str, Any], path: Path) -> None:
    """Draw jet-level distributions of the ten classes."""
    tau = [jets[f"jet_tau{n}"] for n in (1, 2, 3)]
    panels = [
        ("soft-drop mass (GeV)", jets["jet_softdrop_mass"], np.arange(0, 241, 5)),
        ("constituents", jets["part_pt"].lengths, np.arange(0, 121, 4)),
        ("jet pT (GeV)", jets["jet_pt"], np.arange(500, 1001, 20)),
        (r"$\tau_{21}$", tau[1] / tau[0], np.linspace(0, 1, 41)),
        (r"$\tau_{32}$", tau[2] / tau[1], np.linspace(0, 1, 41)),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    colours = plt.get_cmap("tab10").colors
    for axis, (label, values, bins) in zip(axes.flat, panels, strict=False):
        for number, name in enumerate(JETCLASS_CLASSES):
            rows = jets["jet_label"] == number
            axis.hist(values[rows], bins, density=True, histtype="step", color=colours[number], label=name)
        axis.set(xlabel=label, ylabel="density")
    handles, names = axes.flat[0].get_legend_handles_labels()
    axes.flat[5].axis("off")
    axes.flat[5].legend(handles, names, loc="center", ncols=2, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_constituents(jets: dict[str, Any], path: Path) -> None:
    """Draw constituent-level distributions: momenta, place, impact parameters."""
    row = jets["part_pt"].row_index()
    d0, error = jets["part_d0"].values, jets["part_d0_error"].values
    label, track = jets["jet_label"][row], error > 0
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for number, name in enumerate(PID_CLASSES[:5]):
        rows = jets["part_pid"].values == number
        axes[0].hist(
            np.log(jets["part_pt"].values[rows]), np.linspace(-3, 6, 61), histtype="step", label=name
        )
    axes[0].set(xlabel="ln(pT/GeV)", ylabel="constituents", yscale="log")
    deta = jets["part_eta"].values - jets["jet_eta"][row]
    dphi = wrap_phi(jets["part_phi"].values - jets["jet_phi"][row])
    for values, name in ((deta, r"$\Delta\eta$"), (dphi, r"$\Delta\phi$")):
        axes[1].hist(values, np.linspace(-2.5, 2.5, 101), histtype="step", label=name)
    axes[1].set(xlabel="distance from the jet's axis", yscale="log")
    for name in ("Hbb", "Hcc", "Wqq"):
        rows = track & (label == JETCLASS_CLASSES.index(name))
        axes[2].hist(
            d0[rows] / error[rows], np.linspace(-30, 30, 91), histtype="step", density=True, label=name
        )
    axes[2].set(xlabel=r"$d_0/\sigma(d_0)$", yscale="log")
    for axis in axes:
        axis.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Read the stores and write table, numbers and figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--as-meant", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    store, meant = Store.open(options.store), Store.open(options.as_meant)
    jets, ours = read(store), averages(read(store))
    result = {
        "store": {key: store.manifest.provenance[key] for key in ("seed", "recipe_fingerprint", "versions")},
        "n": store.num_rows,
        "averages": {name: {"jetclass": JETCLASS[name], "ours": ours[name]} for name in JETCLASS},
        "peaks_jetclass": peaks(jets, JETCLASS_CLASSES),
        "peaks_as_meant": peaks(read(meant), meant.schema.label_classes),
        "class_means": orders(jets),
    }
    for folder in ("data", "images"):
        (options.output / folder).mkdir(exist_ok=True)
    (options.output / "data" / "simulation_validation.json").write_text(json.dumps(result, indent=2) + "\n")
    with (options.output / "data" / "simulation_averages.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["quantity", "jetclass", "ours", "ratio"])
        writer.writerows(
            [name, JETCLASS[name], f"{ours[name]:.4g}", f"{ours[name] / JETCLASS[name]:.3f}"] for name in ours
        )
    plot_jets(jets, options.output / "images" / "simulation_jets.png")
    plot_constituents(jets, options.output / "images" / "simulation_constituents.png")
    for name, value in ours.items():
        print(f"{name:26s} {JETCLASS[name]:8.4g} {value:8.4g} {value / JETCLASS[name]:.3f}")
    for key in ("peaks_jetclass", "peaks_as_meant"):
        for name, row in result[key].items():
            print(f"{key} {name:5s} {row['peak']:.1f} +- {row['error']:.1f} (expected {row['expected']})")


if __name__ == "__main__":
    main()
