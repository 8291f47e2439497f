"""Validation: the loss over rows that are not trained on."""

from __future__ import annotations

import torch

from hepfm.core.draws import Draws
from hepfm.data.loader import EvalLoader
from hepfm.objectives.loss import Loss
from hepfm.train.distributed import World
from hepfm.train.learner import Learner


@torch.no_grad()
def validate(
    learner: Learner, loader: EvalLoader, world: World, autocast: torch.autocast, *, seed: int
) -> dict[str, float]:
    """Return the loss and its terms over all rows of all processes, as of one step over all of them.

    What an objective draws (noise, masks) comes from `seed` and the row, so that every validation draws the
    same.
    """
    learner.eval()
    draws = Draws(seed, "validation")
    loss: Loss | None = None
    for batch in loader:
        batch = batch.to(world.device)
        with autocast:
            part = learner(learner.views(batch, draws), draws).detached()
        loss = part if loss is None else loss + part
    assert loss is not None
    return world.loss(loss).numbers()
