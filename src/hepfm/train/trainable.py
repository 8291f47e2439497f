"""The contract of what the loop trains: one network with its objective, or several that share weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hepfm.core.draws import Draws
from hepfm.objectives.base import View
from hepfm.objectives.loss import Loss

if TYPE_CHECKING:
    from hepfm.train.learner import Learner


class Trainable(nn.Module):
    """What optimizers, processes and checkpoints hold: `Learner`, or several of them as a `JointLearner`.

    A part of a step is shown to it in two calls, `views` and ``forward``, of which only the second needs
    gradients.
    """

    network: nn.Module
    """What is averaged, and what model directories keep."""

    @property
    @abstractmethod
    def learners(self) -> tuple[Learner, ...]:
        """Each network with its objective."""

    @property
    def whole_step(self) -> bool:
        """Whether a term of the loss is a statistic of the whole step."""
        return any(learner.objective.whole_step for learner in self.learners)

    @abstractmethod
    def views(self, batch: Any, draws: Draws) -> dict[str, View]:
        """Return what is to be shown of a part of a step, as its loader gives it."""

    @abstractmethod
    def forward(self, views: Mapping[str, View], draws: Draws) -> Loss:
        """Show the views and return the loss; random draws come only from `draws`."""

    @abstractmethod
    def counts(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the count of each term that is minimised, as the loss will have it."""

    def numbers(self, loss: Loss) -> dict[str, float]:
        """Return ``"loss"``, what is minimised, and what else is logged of a detached loss."""
        return loss.numbers()

    def after_step(self, step: int, num_steps: int) -> None:
        """Do what follows step `step` of `num_steps`."""
        for learner in self.learners:
            learner.objective.after_step(learner.network, step, num_steps)

    @abstractmethod
    def rows(self, batch: Any) -> list[Any]:
        """Return how messages name the rows of a part of a step."""
