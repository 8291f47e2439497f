"""What a recipe says about pairs of jets: which events are kept for their two leading jets."""

from __future__ import annotations

from typing import ClassVar

import pydantic

from hepfm.core.config import Config
from hepfm.core.schema import Field
from hepfm.data.schemas.dijets import DIJET_MASS
from hepfm.data.schemas.jets import EVENT_ID


class Dijet(Config):
    """The two leading jets of each event, of those within the recipe's `selection`, as two rows.

    Attributes
    ----------
    leading_pt_min
        Lowest pT in GeV of the harder jet, as of a trigger.
    mass_min, mass_max
        Bounds of the invariant mass of both in GeV; null for no upper one.
    """

    group: ClassVar[str] = EVENT_ID.name

    leading_pt_min: float = pydantic.Field(default=0.0, ge=0)
    mass_min: float = pydantic.Field(default=0.0, ge=0)
    mass_max: float | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Dijet:
        if self.mass_max is not None and self.mass_max <= self.mass_min:
            raise ValueError(f"mass_max {self.mass_max:g} must be above mass_min {self.mass_min:g}")
        return self

    def fields(self) -> tuple[Field, ...]:
        """Return the fields that a store has because of it."""
        return (DIJET_MASS, EVENT_ID)
