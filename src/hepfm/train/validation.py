"""Validation: the mean loss over rows that are not trained on."""

from __future__ import annotations

import torch

from hepfm.data.loader import EvalLoader
from hepfm.objectives.base import Objective
from hepfm.train.distributed import World


@torch.no_grad()
def validate(
    objective: Objective, loader: EvalLoader, world: World, autocast: torch.autocast
) -> dict[str, float]:
    """Return the loss and its parts, averaged over all rows of all processes."""
    objective.eval()
    names: tuple[str, ...] = ()
    sums = torch.zeros(0, dtype=torch.float64)
    for batch in loader:
        batch = batch.to(world.device)
        with autocast:
            loss = objective(batch)
        names = ("loss", *loss.parts)
        values = (
            torch.stack([loss.total.float(), *(part.float() for part in loss.parts.values())]).double().cpu()
        )
        row = torch.cat([values * len(batch), torch.tensor([float(len(batch))], dtype=torch.float64)])
        sums = sums + row if len(sums) else row
    total = world.sum(sums.to(world.device)).cpu()
    return dict(zip(names, (total[:-1] / total[-1]).tolist(), strict=True))
