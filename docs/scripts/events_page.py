"""Draw the picture of docs/events.md: python docs/scripts/events_page.py STORE, a store of the recipe processes."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from hepfm.core.ragged import Array, lists
from hepfm.data.event_features import is_reconstructed, is_type
from hepfm.data.store import Store
from hepfm.physics.kinematics import four_momentum, mass_of

DOCS = Path(__file__).parents[1]


class Events:
    """Sums and pairs of the objects of a store."""

    def __init__(self, path: str) -> None:
        self.store = Store.open(path)
        self.columns = self.store.read(self.store.schema.names())
        self.label = np.asarray(self.columns["event_label"])
        names = ("object_pt", "object_eta", "object_phi", "object_energy")
        self.p4 = four_momentum(*(lists(self.columns, name).values.astype(np.float64) for name in names))
        self.pt = lists(self.columns, "object_pt").values
        self.row = lists(self.columns, "object_pt").row_index()

    def seen(self, *types: str) -> Array:
        """Return a mask of reconstructed objects of some types."""
        return is_reconstructed(self.columns) & is_type(self.columns, types)

    def generated(self, *types: str) -> Array:
        """Return a mask of generator objects of some types."""
        return ~is_reconstructed(self.columns) & is_type(self.columns, types)

    def count(self, mask: Array) -> Array:
        """Return the number of chosen objects of each event."""
        return np.bincount(self.row[mask], minlength=len(self.label))

    def total_pt(self, mask: Array) -> Array:
        """Return the sum of pt of the chosen objects of each event."""
        return np.bincount(self.row[mask], self.pt[mask], minlength=len(self.label))

    def pair_mass(self, mask: Array) -> Array:
        """Return the mass of the two hardest chosen objects of each event; NaN with fewer."""
        index, number = np.flatnonzero(mask), self.count(mask)
        first = (np.cumsum(number) - number)[number >= 2]
        mass = np.full(len(self.label), np.nan)
        mass[number >= 2] = mass_of(self.p4[index[first]] + self.p4[index[first + 1]])
        return mass


def picture(path: str) -> None:
    """Draw what tells processes apart, and the peaks that must be where they are."""
    events = Events(path)
    names = events.store.schema.label_classes
    jets, leptons = events.seen("jet"), events.seen("electron", "muon")
    b_jets = jets & (lists(events.columns, "object_b_tag").values > 0.5)
    top = np.flatnonzero(events.generated("top"))
    panels = (
        ("jets", events.count(jets), np.arange(-0.5, 12), ("ttH", "tt", "VBFH", "Zjets", "diphoton")),
        ("missing transverse momentum [GeV]", events.total_pt(events.seen("met")), np.linspace(0, 250, 26), ("tt", "Wjets", "Zjets", "multijet", "graviton_WW")),
        ("mass of the two hardest leptons [GeV]", events.pair_mass(leptons), np.linspace(0, 300, 61), ("Zjets", "ZZ", "WZ", "A_Zh", "Zprime_ll")),
        ("mass of the two hardest b jets [GeV]", events.pair_mass(b_jets), np.linspace(0, 300, 31), ("ggH", "ZH", "tt", "ttH", "H_hh")),
        ("mass of the two hardest photons [GeV]", events.pair_mass(events.seen("photon")), np.linspace(0, 250, 26), ("diphoton",)),
        ("sum of the pt of jets [GeV]", events.total_pt(jets), np.linspace(0, 1500, 31), ("multijet", "tt", "ttH", "Zprime_tt", "A_Zh")),
    )  # fmt: skip
    figure, axes = plt.subplots(2, 4, figsize=(16, 7.4), layout="constrained")
    for axis, (what, values, bins, shown) in zip(axes.flat, panels, strict=False):
        for name in shown:
            mine = values[(events.label == names.index(name)) & np.isfinite(values)]
            weights = np.full(len(mine), 1 / max(len(mine), 1))
            axis.hist(mine, bins, weights=weights, histtype="step", label=f"{name} ({len(mine)})")
        axis.set(xlabel=what, ylabel="share of the events that have it")
        axis.legend(fontsize=7)
    masses = mass_of(events.p4[top])
    axes[1, 2].hist(masses, np.linspace(150, 195, 91), histtype="step")
    axes[1, 2].set(xlabel="mass of generated tops [GeV]", ylabel="tops")
    zprime = np.flatnonzero(events.label == names.index("Zprime_ll"))
    parameter = np.asarray(events.columns["event_resonance_mass"])[zprime]
    axes[1, 3].scatter(parameter, events.pair_mass(leptons)[zprime], s=4)
    axes[1, 3].axline((0, 0), slope=1, color="black", linewidth=0.5)
    axes[1, 3].set(
        xlabel="event_resonance_mass of Zprime_ll [GeV]", ylabel="mass of the two hardest leptons [GeV]"
    )
    figure.savefig(DOCS / "images" / "events.png", dpi=80)


if __name__ == "__main__":
    picture(sys.argv[1])
