"""Numbers of the parametrised detectors: field, tracking, calorimeters.

``CMS_CARD`` is the detector of JetClass (2202.03772), a CMS card of Delphes 3.5 (1307.6346).
``ATLAS_CARD`` follows the ATLAS card of Delphes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.physics.pdg import MUON, NEUTRINOS
from hepfm.simulate.calorimeter import Calorimeter, Grid, Resolution
from hepfm.simulate.helix import Solenoid
from hepfm.simulate.tracks import TrackResponse

HADRON_EFFICIENCY = ((0.70, 0.95, 0.95), (0.60, 0.85, 0.85))
ELECTRON_EFFICIENCY = ((0.73, 0.95, 0.99), (0.50, 0.83, 0.90))
MUON_EFFICIENCY = ((0.75, 0.99, 0.99), (0.70, 0.98, 0.98))
HADRON_RESOLUTION = ((0.06, 1.3e-3), (0.10, 1.7e-3), (0.25, 3.1e-3))
ELECTRON_RESOLUTION = ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3))
MUON_RESOLUTION = ((0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4))


@dataclass(frozen=True)
class Card:
    """Everything a parametrised detector needs.

    `tracks` holds the responses of hadrons, electrons and muons.
    """

    solenoid: Solenoid
    tracks: tuple[TrackResponse, TrackResponse, TrackResponse]
    ecal: Calorimeter
    hcal: Calorimeter


def _edges(step: float, count: int, beyond: tuple[float, ...]) -> tuple[float, ...]:
    """Return `count` steps from 0, then the given edges."""
    return (*(np.arange(1, count + 1) * step).round(6).tolist(), *beyond)


FORWARD = (3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525, 4.7, 5.0)

ECAL_GRID = Grid.symmetric(_edges(0.0174, 170, FORWARD), ((2.958, 1.0), (5.0, 10.0)))

CMS_HCAL_GRID = Grid.symmetric(
    _edges(0.087, 19, (1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 2.868, 2.95, *FORWARD)),
    ((1.653, 5.0), (4.525, 10.0), (5.0, 20.0)),
)

ATLAS_HCAL_GRID = Grid.symmetric(
    _edges(0.1, 25, (2.6, 2.8, 3.0, 3.2, 3.5, 3.7, 3.9, 4.1, 4.3, 4.5, 4.7, 4.9)),
    ((2.5, 10.0), (4.9, 20.0)),
)

ECAL_FRACTIONS = {11: 1.0, 22: 1.0, 310: 0.3, 3122: 0.3}
HCAL_FRACTIONS = {11: 0.0, 22: 0.0, 310: 0.7, 3122: 0.7} | dict.fromkeys((MUON, *NEUTRINOS), 0.0)

CMS_CARD = Card(
    solenoid=Solenoid(field=3.8, radius=1290.0, half_length=3000.0),
    tracks=(
        TrackResponse(HADRON_EFFICIENCY, HADRON_RESOLUTION),
        TrackResponse(ELECTRON_EFFICIENCY, ELECTRON_RESOLUTION),
        TrackResponse(MUON_EFFICIENCY, MUON_RESOLUTION, falls_above=1000.0),
    ),
    ecal=Calorimeter(
        grid=ECAL_GRID,
        resolutions=(
            Resolution(1.5, constant=0.008, stochastic=0.11, noise=0.40, scale_b=0.64),
            Resolution(
                2.5, constant=0.008, stochastic=0.11, noise=0.40, scale_a=2.16, scale_b=5.6, scale_eta=2.0
            ),
            Resolution(5.0, constant=0.107, stochastic=2.08),
        ),
        energy_min=0.5,
        significance_min=2.0,
        fractions=ECAL_FRACTIONS,
        default_fraction=0.0,
    ),
    hcal=Calorimeter(
        grid=CMS_HCAL_GRID,
        resolutions=(
            Resolution(3.0, constant=0.05, stochastic=1.5),
            Resolution(5.0, constant=0.13, stochastic=2.7),
        ),
        energy_min=1.0,
        significance_min=1.0,
        fractions=HCAL_FRACTIONS,
        default_fraction=1.0,
    ),
)

ATLAS_CARD = Card(
    solenoid=Solenoid(field=2.0, radius=1150.0, half_length=3510.0),
    tracks=(
        TrackResponse(HADRON_EFFICIENCY, HADRON_RESOLUTION),
        TrackResponse(ELECTRON_EFFICIENCY, ELECTRON_RESOLUTION),
        TrackResponse(MUON_EFFICIENCY, MUON_RESOLUTION),
    ),
    ecal=Calorimeter(
        grid=ECAL_GRID,
        resolutions=(
            Resolution(3.2, constant=0.0017, stochastic=0.101),
            Resolution(4.9, constant=0.0350, stochastic=0.285),
        ),
        energy_min=0.5,
        significance_min=2.0,
        fractions=ECAL_FRACTIONS,
        default_fraction=0.0,
    ),
    hcal=Calorimeter(
        grid=ATLAS_HCAL_GRID,
        resolutions=(
            Resolution(1.7, constant=0.0302, stochastic=0.5205, noise=1.59),
            Resolution(3.2, constant=0.0500, stochastic=0.706),
            Resolution(4.9, constant=0.0942, stochastic=1.0),
        ),
        energy_min=1.0,
        significance_min=2.0,
        fractions=HCAL_FRACTIONS,
        default_fraction=1.0,
    ),
)
