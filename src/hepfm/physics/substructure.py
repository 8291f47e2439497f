"""Jet substructure from FastJet contrib: soft drop and N-subjettiness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.physics.clustering import events_of_momenta, import_fastjet, momenta_of_events
from hepfm.physics.kinematics import mass_of

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

ZCUT = 0.1


@dataclass(frozen=True)
class Substructure:
    """What `substructure` returns for J jets.

    Attributes
    ----------
    softdrop_mass
        GeV, shape (J,).
    tau
        tau_N of the numbers of axes asked for, tau_1 .. tau_4 unless told otherwise, shape (J, axes).
    zg
        Share of the softer branch in the pT of both where soft drop ends (1704.05066), shape (J,); 0 where
        one constituent is left.
    """

    softdrop_mass: Floats
    tau: Floats
    zg: Floats


def substructure(
    p4: Floats, lengths: npt.NDArray[np.int64], *, radius: float, axes: Sequence[int] = (1, 2, 3, 4)
) -> Substructure:
    """Return soft-drop mass, N-subjettiness and momentum fraction of jets given by their constituents.

    Soft drop (1402.2657) with beta 0 and zcut 0.1 on the jet reclustered with Cambridge/Aachen;
    tau_N (1011.2268) with beta 1 and one-pass kT axes, over sum(pT) R0. These are JetClass's options.

    Parameters
    ----------
    p4
        (E, px, py, pz) in GeV of the constituents, one jet after the other, shape (n, 4).
    lengths
        Number of constituents of each jet, at least 1, shape (J,).
    radius
        Jet radius, used as R0.
    axes
        Numbers N of axes for which tau_N is computed, which takes most of the time.
    """
    if len(lengths) == 0:
        return Substructure(np.zeros(0), np.zeros((0, len(axes))), np.zeros(0))
    fastjet, _ = import_fastjet()
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
    sequence = fastjet.ClusterSequence(events_of_momenta(p4, lengths), whole)
    tau = sequence.njettiness(
        measure_definition="NormalizedMeasure",
        axes_definition="OnePass_KT_Axes",
        njets=list(axes),
        beta=1,
        R0=radius,
    )
    groomed, zg = _soft_drop(sequence)
    return Substructure(mass_of(groomed), np.asarray(tau).reshape(-1, len(axes)), zg)


def n_subjettiness(p4: Floats, lengths: Ints, *, radius: float, number: int) -> Floats:
    """Return tau_1 .. tau_N with exclusive kT axes, without minimisation: the axes of JetNet and OmniLearned.

    tau_N (1011.2268) with beta 1 over sum(pT) R0. These differ by several per cent from the one-pass axes of
    `substructure`, which JetClass uses.

    Parameters
    ----------
    p4, lengths, radius
        As in `substructure`.
    number
        Largest N.

    Returns
    -------
    Shape (J, number); with N constituents or fewer tau_N is 0.
    """
    if len(lengths) == 0:
        return np.zeros((0, number))
    fastjet, _ = import_fastjet()
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
    tau = fastjet.ClusterSequence(events_of_momenta(p4, lengths), whole).njettiness(
        measure_definition="NormalizedMeasure",
        axes_definition="KT_Axes",
        njets=list(range(1, number + 1)),
        beta=1,
        R0=radius,
    )
    return np.asarray(tau, np.float64).reshape(-1, number)


def _soft_drop(sequence: Any) -> tuple[Floats, Floats]:
    """Go down the harder branches of all jets at once until the softer one has more than zcut of the pT.

    FastJet contrib's own function goes jet by jet and takes most of the time of everything after Pythia.

    Parameters
    ----------
    sequence
        One jet an event, clustered whole: n constituents give 2n - 1 nodes, the last one being the jet.

    Returns
    -------
    (E, px, py, pz) of the groomed jets, shape (J, 4), and the share of the softer of their two branches in
    the pT of both, shape (J,).
    """
    p4, sizes = momenta_of_events(sequence.jets())
    pt = np.hypot(p4[:, 1], p4[:, 2])
    history = np.asarray(sequence.unique_history_order().layout.content.data, np.int64)
    parents = _parents(history, sizes)
    node = np.cumsum(sizes) - 1
    open_, zg = np.flatnonzero(sizes > 1), np.zeros(len(sizes))
    while len(open_):
        pair = parents[node[open_]]
        share = pt[pair].min(axis=1) / pt[pair].sum(axis=1)
        drop = share <= ZCUT
        zg[open_[~drop]] = share[~drop]
        open_, pair = open_[drop], pair[drop]
        node[open_] = pair[np.arange(len(pair)), pt[pair].argmax(axis=1)]
        open_ = open_[parents[node[open_], 0] >= 0]
    return p4[node], zg


def _parents(history: Ints, sizes: Ints) -> Ints:
    """Return the two nodes that each node was merged from, -1 for constituents.

    Parameters
    ----------
    history
        FastJet's unique history order of every jet: each merging comes right after all of its second branch,
        which comes right after all of its first. The last entry of a jet is its merging with the beam.
    sizes
        Nodes of each jet, 2n - 1.

    Returns
    -------
    Indices into the nodes of all jets laid end to end, shape (sum of sizes, 2).
    """
    first = np.cumsum(sizes) - sizes
    jet = np.repeat(np.arange(len(sizes)), sizes)
    keep = np.ones(len(history), bool)
    keep[np.cumsum(sizes + 1) - 1] = False
    local = history[keep]
    leaf = local < (sizes[jet] + 1) // 2
    node = local + first[jet]
    # Number of finished branches after each entry. A merging joins the last two of them: the second is the
    # entry just before, the first is the last entry after which this number was the same.
    height = np.cumsum(np.where(leaf, 1, -1)) - jet
    order = np.lexsort((np.arange(len(node)), height, jet))
    before = np.empty_like(order)
    before[order[1:]] = order[:-1]
    merged = np.flatnonzero(~leaf)
    parents = np.full((len(node), 2), -1, np.int64)
    parents[node[merged], 0] = node[before[merged]]
    parents[node[merged], 1] = node[merged - 1]
    return parents
