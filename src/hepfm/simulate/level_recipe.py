"""What a recipe says about jets at two levels: particle and detector level of the same event."""

from __future__ import annotations

from typing import ClassVar

import pydantic

from hepfm.core.config import Config
from hepfm.core.schema import Field
from hepfm.data.schemas.jets import EVENT_ID
from hepfm.data.schemas.levels import BOSON, JET_LEVEL, OBSERVABLES, PASSES


class JetCuts(Config):
    """Jets that are kept: pT in GeV strictly between the bounds.

    Attributes
    ----------
    pt_min, pt_max
        Bounds of the jet's pT in GeV.
    eta_max, rapidity_max
        Largest absolute pseudorapidity and rapidity of the jet; None for any.
    """

    pt_min: float = pydantic.Field(default=500.0, gt=0)
    pt_max: float = 1000.0
    eta_max: float | None = None
    rapidity_max: float | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> JetCuts:
        if self.pt_max <= self.pt_min:
            raise ValueError(f"pt_max {self.pt_max} must be above pt_min {self.pt_min}")
        return self


class TwoLevels(Config):
    """The leading jet of each event at particle level and at detector level, as two rows.

    The jet at particle level is clustered, with the radius of the recipe's `selection`, from the visible
    particles with |eta| < 5 as generated; that at detector level from what the detector makes of the same
    particles.

    Attributes
    ----------
    particle
        Cuts on jets at particle level; null for those of `selection`, which are of the detector level.
    match_radius
        Largest distance in eta and phi of two jets that are a pair. Leading jets further apart are an
        inefficiency and a fake.
    z_boson
        Whether the momentum of the Z boson of each event is stored.
    z_pt_min
        Lowest pT in GeV of the Z boson, at particle level; events with less are not used.
    """

    group: ClassVar[str] = EVENT_ID.name

    particle: JetCuts | None = None
    match_radius: float = pydantic.Field(default=0.2, gt=0)
    z_boson: bool = True
    z_pt_min: float = pydantic.Field(default=0.0, ge=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> TwoLevels:
        if self.z_pt_min and not self.z_boson:
            raise ValueError(f"z_pt_min {self.z_pt_min:g} needs the Z boson of each event, z_boson: true")
        return self

    def fields(self) -> tuple[Field, ...]:
        """Return the fields that a store has because of it."""
        boson = BOSON if self.z_boson else ()
        return (JET_LEVEL, *PASSES.values(), *OBSERVABLES, *boson, EVENT_ID)
