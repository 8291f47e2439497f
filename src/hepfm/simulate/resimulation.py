"""Re-simulation of hard events: the variations there are, and the fields that say what a jet is of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import did_you_mean
from hepfm.core.schema import Field
from hepfm.data.schemas.jets import ORIGIN, variation_field

_MODELS: Mapping[str, tuple[str, ...]] = {
    "nominal": (),
    "seed": (),
    "vincia": ("PartonShowers:model = 2",),
    "thermal": ("Fragmentation:model = 1",),
    "colour_reconnection": ("ColourReconnection:mode = 1", "BeamRemnants:remnantMode = 1"),
}
_SCALES: Mapping[str, tuple[str, int]] = {
    "fsr_up": ("TimeShower:renormMultFac", 1),
    "fsr_down": ("TimeShower:renormMultFac", -1),
    "isr_up": ("SpaceShower:renormMultFac", 1),
    "isr_down": ("SpaceShower:renormMultFac", -1),
}
NAMES = (*_MODELS, *_SCALES)
"""Variations that need no lines in a recipe."""


class Resimulation(Config):
    """How each hard event is simulated several times. Every simulation has a seed of its own.

    Attributes
    ----------
    variations
        Their names. ``nominal`` and ``seed`` have the lines of the class alone and differ in the seed;
        ``fsr_up`` and ``fsr_down`` have another renormalisation scale of final-state radiation, ``isr_up``
        and ``isr_down`` of initial-state radiation (up: a larger scale, and so less radiation); ``vincia``
        another shower, ``thermal`` another model of hadronisation, ``colour_reconnection`` Pythia's second
        model of it.
    scale_factor
        Factor of the renormalisation scale, "up"; its inverse is "down". The square root of 2 in 2403.07066.
    lines
        Pythia lines of further variations by name, which come after those of the class; a name of the list
        above gets other lines by it.
    files
        HepMC3 files of further variations by name: another generator's events of the hard events of a Les
        Houches file, which the class must then read. ``{class}`` in a name stands for the class.
    first_number
        Number that these files give the first event of the Les Houches file.
    require_all
        Whether only jets are kept that pass in every simulation. Otherwise those that do not pass are
        missing.
    """

    group: ClassVar[str] = ORIGIN.name

    variations: tuple[str, ...] = ("nominal", "seed", "fsr_up", "fsr_down")
    scale_factor: float = pydantic.Field(default=math.sqrt(2), gt=1, le=math.sqrt(10))
    lines: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    first_number: int = pydantic.Field(1, ge=0)
    require_all: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> Resimulation:
        known = (*NAMES, *self.lines, *self.files)
        for name in self.variations:
            if name not in known:
                raise ValueError(
                    f"unknown variation {name!r}{did_you_mean(name, known)}; a new one needs its Pythia "
                    f"lines, lines: {{{name}: [...]}}"
                )
        unused = [name for name in self.lines if name not in self.variations]
        if unused:
            raise ValueError(f"lines of {unused[0]!r}, which is not among the variations; add it there")
        for name in self.files:
            if name not in self.variations:
                raise ValueError(f"a file of {name!r}, which is not among the variations; add it there")
            if name in (*NAMES, *self.lines):
                raise ValueError(f"{name!r} is Pythia's; give the variation of the file a name of its own")
        if set(self.variations) == set(self.files):
            raise ValueError(
                "variations: one at least must be Pythia's, by which jets of the hard process are known"
            )
        if len(set(self.variations)) != len(self.variations) or len(self.variations) < 2:
            raise ValueError("variations: name at least two, each once")
        return self

    def lines_of(self, name: str) -> tuple[str, ...]:
        """Return the Pythia lines of a variation."""
        if name in self.lines:
            return self.lines[name]
        if name in _MODELS:
            return _MODELS[name]
        key, power = _SCALES[name]
        # Pythia's factor is that of the square of the scale.
        return (f"{key} = {self.scale_factor ** (2 * power):.6g}",)

    def resolved(self) -> dict[str, list[str]]:
        """Return the lines of Pythia's variations by name."""
        return {name: list(self.lines_of(name)) for name in self.variations if name not in self.files}

    def file_of(self, name: str, class_name: str) -> Path | None:
        """Return the file with a variation of the events of a class; None for Pythia's variations."""
        return Path(self.files[name].replace("{class}", class_name)) if name in self.files else None

    def fields(self) -> tuple[Field, ...]:
        """Return the fields that a store has because of it."""
        return (ORIGIN, variation_field(self.variations))
