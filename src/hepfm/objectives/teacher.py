"""The teacher of an objective: a slower copy of what is trained, the moving average of its weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import DivergedError
from hepfm.nn.pieces import local

_Momentum = Annotated[float, pydantic.Field(ge=0, le=1)]


class TeacherConfig(Config):
    """Options of `Teacher`.

    Attributes
    ----------
    momentum
        Fraction of its weights that the teacher keeps in the first step.
    schedule
        ``"cosine"`` raises the momentum to 1 in the last step (BYOL, 2006.07733), ``"constant"`` keeps it.
    """

    momentum: _Momentum = 0.996
    schedule: Literal["cosine", "constant"] = "cosine"

    def at(self, step: int, num_steps: int) -> float:
        """Return the momentum of optimizer step `step`, from 1 to `num_steps`.

        >>> [round(TeacherConfig(momentum=0.9).at(step, 3), 4) for step in (1, 2, 3)]
        [0.9, 0.95, 1.0]
        """
        if self.schedule == "constant":
            return self.momentum
        done = (step - 1) / max(num_steps - 1, 1)
        return 1 - (1 - self.momentum) * (1 + math.cos(math.pi * done)) / 2


class Teacher(nn.Module):
    """Frozen copies of modules, always in evaluation mode, which follow the originals step by step.

    Parameters are averaged, buffers copied: running means are averages already. A submodule of the objective,
    so that checkpoints hold it.

    Parameters
    ----------
    config
        Options.
    modules
        What is copied, e.g. the network and a projector. Always given in this order.
    """

    def __init__(self, config: TeacherConfig, *modules: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.copies = nn.ModuleList(copy.deepcopy(module) for module in modules).requires_grad_(False)
        self.copies.eval()

    def __getitem__(self, number: int) -> nn.Module:
        return self.copies[number]

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: dropout would make targets noisy."""
        return super().train(False)

    def start(self, *modules: nn.Module) -> None:
        """Take the weights that training starts from; for `Objective.prepare`."""
        for copied, module in zip(self.copies, modules, strict=True):
            copied.load_state_dict(module.state_dict())

    @torch.no_grad()
    def follow(self, *modules: nn.Module, step: int, num_steps: int) -> None:
        """Move towards the originals; for `Objective.after_step`, once for each optimizer step.

        Raises
        ------
        DivergedError
            When weights of the originals or of the teacher are not finite.
        """
        pairs = list(zip(self.copies, modules, strict=True))
        theirs = [local(weight.detach()) for _, module in pairs for weight in module.parameters()]
        ours = [local(weight.detach()) for copied, _ in pairs for weight in copied.parameters()]
        _check_finite(theirs, "the trained network", step)
        torch._foreach_lerp_(ours, theirs, 1 - self.config.at(step, num_steps))
        for copied, module in pairs:
            for kept, present in _buffers(copied, module):
                kept.copy_(present)
        _check_finite(ours, "the teacher", step)


def _buffers(copied: nn.Module, module: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(copied.buffers(), module.buffers(), strict=True)


def _check_finite(weights: list[Tensor], whose: str, step: int) -> None:
    # One number for all weights: the sum of their norms is finite only if each weight is.
    if weights and not torch.stack(torch._foreach_norm(weights)).sum().isfinite():
        raise DivergedError(
            f"weights of {whose} are not finite after step {step}: its targets would be of no use. Lower "
            "train.optimizer.lr or set train.clip, and go back to the last checkpoint"
        )
