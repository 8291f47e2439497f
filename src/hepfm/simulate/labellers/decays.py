"""Jets by what they hold: a resonance, all that it decays to, or a parton of the hard collision."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core import config
from hepfm.core.errors import ConfigError
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import pseudorapidity
from hepfm.simulate.labellers.base import JetLabels, Labeller
from hepfm.simulate.labels import match_decay, match_parton, match_resonance, parse_pattern
from hepfm.simulate.particles import Bools
from hepfm.simulate.pythia import Record


class DecayMatch(config.Config):
    """Which jets belong to a class; all of them when nothing is given.

    Attributes
    ----------
    resonance
        |PDG code| of a particle that must lie inside the jet or, with `decay`, all of its decay products.
    decay
        What it decays to, e.g. ``"q q l nu"``; neutrinos are not tested.
    parton
        Kind of an outgoing parton of the hard collision that must lie inside, e.g. ``"g"``.
    """

    resonance: int | None = pydantic.Field(default=None, gt=0)
    decay: str | None = None
    parton: str | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> DecayMatch:
        if self.decay is not None and self.resonance is None:
            raise ValueError("give the 'resonance' of this 'decay'")
        if self.resonance is not None and self.parton is not None:
            raise ValueError("give one of 'resonance', with or without 'decay', and 'parton'")
        for pattern in (self.decay, self.parton):
            if pattern is not None:
                _check_pattern(pattern)
        if self.parton is not None and len(self.parton.split()) != 1:
            raise ValueError(f"'parton' is one word, got {self.parton!r}")
        return self


def _check_pattern(pattern: str) -> None:
    try:
        parse_pattern(pattern)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class DecayLabeller(Labeller[DecayMatch]):
    """Classes of resonances, of their decays, and of partons; no fields of its own."""

    Match: ClassVar[type[config.Config]] = DecayMatch

    def label(self, record: Record, jets: Jets, match: DecayMatch, *, radius: float) -> JetLabels:
        """Label jets."""
        return JetLabels(belongs(match, record, jets, radius=radius))


def belongs(match: DecayMatch, record: Record, jets: Jets, *, radius: float) -> Bools:
    """Tell which jets hold what the match asks for, shape (J,)."""
    _, px, py, pz = jets.p4.T
    axes = (jets.event, pseudorapidity(px, py, pz), np.arctan2(py, px))
    if match.resonance is not None and match.decay is not None:
        return match_decay(record, axes, resonance=match.resonance, pattern=match.decay, radius=radius)
    if match.resonance is not None:
        return match_resonance(record, axes, resonance=match.resonance, radius=radius)
    if match.parton is not None:
        return match_parton(record, axes, parton=match.parton, radius=radius)
    return np.ones(len(jets), bool)
