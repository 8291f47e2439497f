"""What tests of several folders make alike."""

from __future__ import annotations

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.loss import Loss
from hepfm.train.learner import Learner


def draws(seed: int = 1) -> Draws:
    """Return the random numbers of a step."""
    return Draws(seed, "test")


def loss_of(learner: Learner, batch: Batch, *, seed: int = 1) -> Loss:
    """Show the network the views of a batch and return the loss."""
    loss: Loss = learner(learner.views(batch, draws(seed)), draws(seed))
    return loss


def number(loss: Loss, name: str) -> float:
    """Return a term of a loss."""
    return float(loss.terms[name].number().detach())
