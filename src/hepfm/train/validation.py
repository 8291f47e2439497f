"""Validation: the loss over rows that are not trained on."""

from __future__ import annotations

import torch

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.data.joint_loader import JointBatch, JointEvalLoader
from hepfm.data.loader import EvalLoader
from hepfm.objectives.loss import Loss, added
from hepfm.train.distributed import World
from hepfm.train.trainable import Trainable


@torch.no_grad()
def validate(
    learner: Trainable,
    batches: EvalLoader | JointEvalLoader | list[Batch | JointBatch],
    world: World,
    autocast: torch.autocast,
    *,
    seed: int,
    progress: float = 0.0,
) -> dict[str, float]:
    """Return the loss and its terms over all rows of all processes, as of one step over all of them.

    What an objective draws (noise, masks) comes from `seed` and the row, so that every validation draws the
    same. `progress` is the part of the training that is done. Processes may have unlike numbers of batches:
    where weights are split all are needed for each, so that one that is done repeats its last.
    """
    learner.eval()
    draws = Draws(seed, "validation", progress=progress)
    parts: list[Loss] = []
    for batch in batches:
        batch = batch.to(world.device)
        with autocast:
            part = learner(learner.views(batch, draws), draws).detached()
        parts = [added([*parts, part])]
    for _ in range(world.most(len(batches)) - len(batches)):
        with autocast:
            learner(learner.views(batch, draws), draws)
    return learner.numbers(world.loss(*parts))
