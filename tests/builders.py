"""What tests of several folders make alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.registry import Registry
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


def built(registry: Registry, spec: str | Mapping[str, Any], *, seed: int = 1, **arguments: Any) -> Any:
    """Return a component of a registry; the seed fixes its start, and what is drawn after it."""
    component = resolve_component(registry, spec, where="test")
    torch.manual_seed(seed)
    return component.cls(component.config, **arguments)


def generator(seed: int = 0) -> torch.Generator:
    """Return a source of random numbers."""
    return torch.Generator().manual_seed(seed)


def mask_of(counts: Sequence[int]) -> Tensor:
    """Return the mask, (B, N), of rows of these numbers of constituents, padded to the longest."""
    return torch.arange(max(*counts, 1))[None] < torch.tensor(counts)[:, None]
