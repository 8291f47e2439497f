"""Early stopping: stop when the validation loss has not improved for a number of validations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pydantic

from hepfm.core.config import Config


class EarlyStoppingConfig(Config):
    """Options: how many validations without a better loss, and how much better counts."""

    patience: int = pydantic.Field(5, ge=1)
    min_delta: float = pydantic.Field(0.0, ge=0.0)


@dataclass
class Best:
    """The best validation loss so far, its step, and how many validations came after it."""

    loss: float = math.inf
    step: int = -1
    since: int = 0

    def update(self, loss: float, step: int, *, min_delta: float = 0.0) -> bool:
        """Take in a validation; return whether it is the best."""
        if loss < self.loss - min_delta:
            self.loss, self.step, self.since = loss, step, 0
            return True
        self.since += 1
        return False

    def state(self) -> dict[str, float | int | None]:
        """Return JSON-ready values."""
        return {"loss": self.loss if self.step >= 0 else None, "step": self.step, "since": self.since}

    @classmethod
    def from_state(cls, state: dict[str, float | int | None]) -> Best:
        """Build from `state`'s values."""
        loss = state["loss"]
        return cls(
            math.inf if loss is None else float(loss), int(state["step"] or 0), int(state["since"] or 0)
        )
