"""Particle numbers of the Particle Data Group's Monte Carlo scheme, without sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

QUARKS = (1, 2, 3, 4, 5)
"""The quarks that form hadrons: d, u, s, c, b."""
ELECTRON, MUON, TAU = 11, 13, 15
CHARGED_LEPTONS = (ELECTRON, MUON, TAU)
NEUTRINOS = (12, 14, 16)
GLUON, PHOTON = 21, 22
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
