"""Validation: the mean loss over rows that are not trained on."""

from __future__ import annotations

import torch

from hepfm.core.rng import torch_generator
from hepfm.data.loader import EvalLoader
from hepfm.objectives.base import Objective
from hepfm.train.distributed import World


@torch.no_grad()
def validate(
    objective: Objective, loader: EvalLoader, world: World, autocast: torch.autocast, *, seed: int
) -> dict[str, float]:
    """Return the loss and its parts, averaged over all rows of all processes.

    What an objective draws (noise, masks) comes from `seed`, so that every validation draws the same.
    """
    objective.eval()
    names: tuple[str, ...] = ()
    sums = torch.zeros(0, dtype=torch.float64)
    for number, batch in enumerate(loader):
        batch = batch.to(world.device)
        draws = torch_generator(seed, "validation.draws", world.rank, number, device=world.device.type)
        with autocast:
            loss = objective(batch, draws)
        names = ("loss", *loss.parts)
        values = (
            torch.stack([loss.total.float(), *(part.float() for part in loss.parts.values())]).double().cpu()
        )
        row = torch.cat([values * len(batch), torch.tensor([float(len(batch))], dtype=torch.float64)])
        sums = sums + row if len(sums) else row
    total = world.sum(sums.to(world.device)).cpu()
    return dict(zip(names, (total[:-1] / total[-1]).tolist(), strict=True))
