"""Simulation: jets and whole events from Pythia 8, a detector, FastJet and truth; parametrised showers; a
store."""

from __future__ import annotations

from hepfm.core.registry import Registry

SIMULATIONS = Registry(
    "simulation",
    {
        "jets": (
            "hepfm.simulate.jet_simulation:JetSimulation",
            "jets of collisions: Pythia 8, a detector, FastJet",
        ),
        "events": (
            "hepfm.simulate.event_simulation:EventSimulation",
            "whole events: Pythia 8, a detector, objects, and the particles of the hard process",
        ),
        "showers": (
            "hepfm.simulate.showers:ShowerSimulation",
            "parametrised electron showers in the cells of a calorimeter",
        ),
    },
)
"""Kinds of simulation by the recipe's ``kind``; a row's class is a `hepfm.simulate.simulation.Simulation`."""

LABELLERS = Registry(
    "labeller",
    {
        "decays": (
            "hepfm.simulate.labellers.decays:DecayLabeller",
            "jets by the resonance, its decay or the parton that they hold",
        ),
        "taus": (
            "hepfm.simulate.labellers.taus:TauLabeller",
            "the same, and by hadronic taus: decay mode and visible momentum",
        ),
    },
)
"""What decides the class of simulated jets; a row's class is a `hepfm.simulate.labellers.base.Labeller`."""

DETECTORS = Registry(
    "detector",
    {
        "jetclass": (
            "hepfm.simulate.detector:JetClassDetector",
            "as published: CMS card with its three artefacts",
        ),
        "cms": ("hepfm.simulate.detector:Cms", "the CMS card as it was meant"),
        "atlas_like": ("hepfm.simulate.detector:AtlasLike", "response like an ATLAS card, kinematics only"),
        "none": ("hepfm.simulate.detector:NoDetector", "visible particles as generated"),
    },
)
"""Detectors by name; a row's class has a nested ``Config`` and turns particles into candidates."""
