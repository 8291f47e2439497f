"""Validation: the loss over rows that are not trained on."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.objectives.loss import Loss
from hepfm.train.distributed import World
from hepfm.train.learner import Learner


@torch.no_grad()
def validate(
    learner: Learner,
    batches: Iterable[Batch],
    world: World,
    autocast: torch.autocast,
    *,
    seed: int,
    progress: float = 0.0,
) -> dict[str, float]:
    """Return the loss and its terms over all rows of all processes, as of one step over all of them.

    What an objective draws (noise, masks) comes from `seed` and the row, so that every validation draws the
    same. `progress` is the part of the training that is done.
    """
    learner.eval()
    draws = Draws(seed, "validation", progress=progress)
    loss: Loss | None = None
    for batch in batches:
        batch = batch.to(world.device)
        with autocast:
            part = learner(learner.views(batch, draws), draws).detached()
        loss = part if loss is None else loss + part
    assert loss is not None
    return world.loss(loss).numbers()
