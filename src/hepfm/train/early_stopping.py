"""Early stopping: stop when the validation loss has not improved for a number of validations."""

from __future__ import annotations

from dataclasses import dataclass

import pydantic

from hepfm.core.config import Config


class EarlyStoppingConfig(Config):
    """Options.

    Attributes
    ----------
    patience
        Validations without a better loss after which training stops.
    min_delta
        How much smaller than the best a loss must be to count as better.
    """

    patience: int = pydantic.Field(default=5, ge=1)
    min_delta: float = pydantic.Field(default=0.0, ge=0.0)


@dataclass
class Best:
    """The best validation so far.

    Attributes
    ----------
    loss
        Its loss; None before the first validation.
    step
        Its step; -1 before the first.
    since
        Validations after it.
    """

    loss: float | None = None
    step: int = -1
    since: int = 0

    def update(self, loss: float, step: int, *, min_delta: float = 0.0) -> None:
        """Take in a validation."""
        if self.loss is None or loss < self.loss - min_delta:
            self.loss, self.step, self.since = loss, step, 0
        else:
            self.since += 1
