"""Particle numbers of the Particle Data Group's Monte Carlo scheme, without sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

QUARKS = (1, 2, 3, 4, 5)
"""The quarks that form hadrons: d, u, s, c, b."""
BOTTOM = 5
ELECTRON, MUON, TAU = 11, 13, 15
CHARGED_LEPTONS = (ELECTRON, MUON, TAU)
NEUTRINOS = (12, 14, 16)
GLUON, PHOTON = 21, 22
TOP, Z_BOSON, W_BOSON, HIGGS = 6, 23, 24, 25
NEUTRAL_PION = 111
CHARGED_PION, CHARGED_KAON = 211, 321


def has_quark(pdg: npt.NDArray[np.signedinteger[Any]], quark: int) -> npt.NDArray[np.bool_]:
    """Tell which codes are those of hadrons with a valence quark of one kind, shape of `pdg`.

    >>> has_quark(np.array([511, -421, 310, 130, 3122, 5, 5503]), 5).tolist()
    [True, False, False, False, False, False, False]
    >>> has_quark(np.array([310, 130, 3122, -321, 211]), 3).tolist()
    [True, True, True, True, False]
    """
    code = np.abs(pdg)
    digits = [code // 10**place % 10 for place in (1, 2, 3)]
    hadron = (code > 100) & (digits[0] > 0)  # the tens digit of a diquark is 0
    found: npt.NDArray[np.bool_] = hadron & np.any([digit == quark for digit in digits], axis=0)
    return found


MASSES = {
    ELECTRON: 0.00051099895,
    MUON: 0.1056583755,
    PHOTON: 0.0,
    130: 0.497611,
    CHARGED_PION: 0.13957039,
    CHARGED_KAON: 0.493677,
    2112: 0.93956542,
    2212: 0.93827209,
}
"""Masses in GeV of the particles that reach a detector (Particle Data Group, 2024)."""


def masses(pdg: npt.NDArray[np.signedinteger[Any]]) -> npt.NDArray[np.float64]:
    """Return the mass of each particle in GeV, of one kind of `MASSES` each.

    >>> masses(np.array([22, -11, 211])).round(4).tolist()
    [0.0, 0.0005, 0.1396]
    """
    codes = np.array(sorted(MASSES))
    found: npt.NDArray[np.float64] = np.array([MASSES[code] for code in sorted(MASSES)])[
        np.searchsorted(codes, np.abs(pdg))
    ]
    return found
