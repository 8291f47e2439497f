"""Drawings of single jets in the plane of pseudorapidity and azimuth around the jet axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.ragged import Array, Ragged
from hepfm.data.store import Store
from hepfm.report.figures.style import MUTED, SERIES, Figure, canvas, legend, to_svg
from hepfm.report.table import Cell, Numbers, make_table

TYPE_PENS = {
    "charged_hadron": (SERIES[0], "o"),
    "neutral_hadron": (SERIES[4], "s"),
    "photon": (SERIES[1], "D"),
    "electron": (SERIES[2], "^"),
    "muon": (SERIES[3], "v"),
    "other": (MUTED, "o"),
}
"""Colour and marker of each particle type: never colour alone."""

UNKNOWN = "constituent"
UNKNOWN_PEN = {UNKNOWN: (SERIES[0], "o")}
"""For stores without particle types."""

LARGEST = 520.0
"""Marker area in square points of a constituent that carries the whole jet's pt."""


@dataclass(frozen=True)
class JetDrawing:
    """One jet, ready to be drawn; arrays have one entry per constituent.

    Attributes
    ----------
    title
        Class, pt and mass.
    delta_eta, delta_phi
        Distance from the jet axis; azimuth in radians.
    share
        Share of the jet's transverse momentum.
    types
        Particle types, or None when the store has none.
    """

    title: str
    delta_eta: Array
    delta_phi: Array
    share: Array
    types: tuple[str, ...] | None


def first_of_each_class(store: Store, rows: Array, *, label: str) -> list[JetDrawing]:
    """Return the first jet of each class among `rows`: not chosen by how they look."""
    truth = np.asarray(store.read([label], rows)[label])
    classes = store.schema[label].classes
    firsts = [(name, np.flatnonzero(truth == k)) for k, name in enumerate(classes)]
    return [_read(store, int(rows[found[0]]), name) for name, found in firsts if len(found)]


def _read(store: Store, row: int, class_name: str) -> JetDrawing:
    names = ["jet_pt", "jet_eta", "jet_phi", "part_pt", "part_eta", "part_phi"]
    extra = [name for name in ("jet_softdrop_mass", "part_pid") if name in store.schema]
    jet = store.read([*names, *extra], [row])
    one = {name: (values.values if isinstance(values, Ragged) else values) for name, values in jet.items()}
    mass = f", soft-drop mass {one['jet_softdrop_mass'][0]:.0f} GeV" if "jet_softdrop_mass" in one else ""
    types = None
    if "part_pid" in one:
        kinds = store.schema["part_pid"].classes
        types = tuple(kinds[int(code)] for code in one["part_pid"])
    return JetDrawing(
        title=f"{class_name}: pT {one['jet_pt'][0]:.0f} GeV{mass}",
        delta_eta=one["part_eta"] - one["jet_eta"][0],
        delta_phi=np.angle(np.exp(1j * (one["part_phi"] - one["jet_phi"][0]))),
        share=one["part_pt"] / one["jet_pt"][0],
        types=types,
    )


def jet_figure(jet: JetDrawing, *, radius: float, name: str) -> Figure:
    """Draw one jet: marker area proportional to pt, colour and shape by type, a circle of the jet radius."""
    figure, axes = canvas(3.4, 3.9)
    from matplotlib.patches import Circle  # after `canvas`, which says what to install

    types = jet.types or (UNKNOWN,) * len(jet.share)
    for kind, (colour, marker) in (TYPE_PENS if jet.types else UNKNOWN_PEN).items():
        chosen = np.array([found == kind for found in types], bool)
        look: dict[str, Any] = {"color": colour, "marker": marker, "alpha": 0.65, "linewidths": 0}
        axes.scatter(jet.delta_eta[chosen], jet.delta_phi[chosen], s=LARGEST * jet.share[chosen], **look)
        axes.scatter([], [], s=22, label=kind.replace("_", " "), **look)
    axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor=MUTED, linestyle="--", linewidth=1.0))
    limit = 1.12 * radius
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    axes.set_xlabel("Δη to the jet axis")
    axes.set_ylabel("Δφ to the jet axis [rad]")
    axes.set_title(jet.title, fontsize=9.0)
    legend(
        axes, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, columnspacing=0.8, handletextpad=0.1
    )
    outside = int((np.maximum(np.abs(jet.delta_eta), np.abs(jet.delta_phi)) > limit).sum())
    alt = f"Drawing of a jet, {jet.title}, {len(jet.share)} constituents."
    caption = (
        f"{len(jet.share)} constituents" + (f", {outside} of them outside the frame" if outside else "") + "."
    )
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, _table(jet, types))


def _table(jet: JetDrawing, types: tuple[str, ...]) -> Numbers:
    rows: list[list[Cell]] = [
        [kind, float(eta), float(phi), float(share)]
        for kind, eta, phi, share in zip(types, jet.delta_eta, jet.delta_phi, jet.share, strict=True)
    ]
    return make_table(("type", "delta_eta", "delta_phi", "pt_share"), rows)
