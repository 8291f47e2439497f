"""Particle numbers of the Particle Data Group's Monte Carlo scheme, without sign."""

from __future__ import annotations

QUARKS = (1, 2, 3, 4, 5)
"""The quarks that form hadrons: d, u, s, c, b."""
ELECTRON, MUON, TAU = 11, 13, 15
CHARGED_LEPTONS = (ELECTRON, MUON, TAU)
NEUTRINOS = (12, 14, 16)
GLUON, PHOTON = 21, 22
NEUTRAL_PION = 111
CHARGED_PION, CHARGED_KAON = 211, 321
