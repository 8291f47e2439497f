"""Jet substructure from FastJet contrib: soft-drop mass and N-subjettiness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.physics.clustering import events_of_momenta, import_fastjet

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Substructure:
    """What `substructure` returns for J jets.

    Attributes
    ----------
    softdrop_mass
        GeV, shape (J,).
    tau
        tau_1 .. tau_4, shape (J, 4).
    """

    softdrop_mass: Floats
    tau: Floats


def substructure(p4: Floats, lengths: npt.NDArray[np.int64], *, radius: float) -> Substructure:
    """Return soft-drop mass and N-subjettiness of jets given by their constituents.

    Soft drop (1402.2657) with beta 0 and zcut 0.1 on the jet reclustered with Cambridge/Aachen;
    tau_N (1011.2268) with beta 1 and one-pass kT axes, normalised by sum(pT) R0. These are JetClass's options.

    Parameters
    ----------
    p4
        (E, px, py, pz) in GeV of the constituents, one jet after the other, shape (n, 4).
    lengths
        Number of constituents of each jet, at least 1, shape (J,).
    radius
        Jet radius, used as R0.
    """
    if len(lengths) == 0:
        return Substructure(np.zeros(0), np.zeros((0, 4)))
    fastjet, awkward = import_fastjet()
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
    sequence = fastjet.ClusterSequence(events_of_momenta(p4, lengths), whole)
    groomed = sequence.exclusive_jets_softdrop_grooming(njets=1, beta=0.0, symmetry_cut=0.1, R0=radius)
    tau = sequence.njettiness(
        measure_definition="NormalizedMeasure",
        axes_definition="OnePass_KT_Axes",
        njets=[1, 2, 3, 4],
        beta=1,
        R0=radius,
    )
    return Substructure(
        awkward.to_numpy(awkward.flatten(groomed.msoftdrop, axis=None)),
        awkward.to_numpy(tau).reshape(-1, 4),
    )
