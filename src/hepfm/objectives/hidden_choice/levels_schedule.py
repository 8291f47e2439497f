"""First some objects of every event, later all of one level."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic

from hepfm.core.config import Config
from hepfm.objectives.hidden_choice.levels import LevelChoice, Share


class LevelsScheduleConfig(Config):
    """Options of `LevelsSchedule`.

    Attributes
    ----------
    start
        Part of the training after which whole levels are hidden.
    generator
        Share of the events of which all generator objects are hidden then; of the others all reconstructed
        ones are.
    number
        Mean number of objects that are hidden before: of N each with the probability number/N. None takes the
        objective's fraction for the probability.
    """

    start: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.5
    generator: Share = 0.5
    number: pydantic.PositiveFloat | None = None


class LevelsSchedule(LevelChoice[LevelsScheduleConfig]):
    """Objects at random in the first half of the training, one level in the second.

    So a review of foundation models for particle physics describes Bumblebee (2412.07867); its public code
    has the mixture of `hepfm.objectives.hidden_choice.levels`. Validation hides what training hides at that
    time: its loss jumps where the second part begins.
    """

    Config: ClassVar[type[Config]] = LevelsScheduleConfig

    def shares(self, progress: float) -> tuple[float, float, float]:
        """Return the shares of the part that the training has come to."""
        generator = self.config.generator
        return (1.0, 0.0, 0.0) if progress < self.config.start else (0.0, generator, 1.0 - generator)

    @property
    def number(self) -> float | None:
        """Mean number of objects hidden at random."""
        return self.config.number
