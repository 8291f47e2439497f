"""Simulation: Pythia 8 events, a detector, FastJet jets, labels, a store."""

from __future__ import annotations

from hepfm.core.registry import Registry

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
