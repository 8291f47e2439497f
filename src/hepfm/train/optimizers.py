"""Optimizers by name, and the parameter groups that they work on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pydantic
import torch
from torch import nn

from hepfm.core.config import Config
from hepfm.core.registry import Registry
from hepfm.train.learner import Learner
from hepfm.train.lion import Lion
from hepfm.train.trainable import Trainable

OPTIMIZERS = Registry(
    "optimizer",
    {
        "adamw": ("hepfm.train.optimizers:AdamWOptimizer", "Adam with decoupled weight decay (1711.05101)"),
        "lion": ("hepfm.train.optimizers:LionOptimizer", "sign of interpolated momentum (2302.06675)"),
    },
)

Groups = list[dict[str, Any]]

_LAST_PARTS = ("heads.", "generator.")
"""Parts of a network that stand behind its backbone."""


class AdamWConfig(Config):
    """Options of AdamW, with torch's meaning.

    Attributes
    ----------
    lr
        Peak learning rate, which the schedule multiplies.
    weight_decay
        Decoupled decay of matrices; vectors have none.
    betas
        Decays of the means of the gradient and of its square.
    eps
        Added to the root of the mean square.
    """

    lr: float = pydantic.Field(1e-3, gt=0.0)
    weight_decay: float = pydantic.Field(0.01, ge=0.0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = pydantic.Field(1e-8, gt=0.0)


class AdamWOptimizer:
    """Torch's fused AdamW."""

    Config = AdamWConfig

    @staticmethod
    def build(config: AdamWConfig, groups: Groups) -> torch.optim.Optimizer:
        """Return the optimizer of `groups`."""
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


class LionConfig(Config):
    """Options of Lion.

    Attributes
    ----------
    lr
        Peak learning rate, which the schedule multiplies.
    weight_decay
        Decoupled decay of matrices; vectors have none.
    betas
        Share of the old mean in the step, and decay of the mean of the gradient.
    """

    lr: float = pydantic.Field(3e-4, gt=0.0)
    weight_decay: float = pydantic.Field(0.1, ge=0.0)
    betas: tuple[float, float] = (0.9, 0.99)


class LionOptimizer:
    """Lion."""

    Config = LionConfig

    @staticmethod
    def build(config: LionConfig, groups: Groups) -> torch.optim.Optimizer:
        """Return the optimizer of `groups`."""
        return Lion(groups, lr=config.lr, betas=config.betas)


def parameter_groups(
    trained: Trainable,
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    head_factor: float = 1.0,
    new: Collection[str] | None = None,
) -> Groups:
    """Return the trainable parameters in groups of one learning rate and weight decay.

    The learning rate of backbone layer l of L is ``lr * layer_decay ** (L - l)``, that of what is new
    ``lr * head_factor``, that of everything else ``lr``. Vectors (biases, norms) have no weight decay. Each
    group keeps its peak rate as ``peak_lr``, on which schedules act.

    Parameters
    ----------
    trained
        The network with its objective, or several of them; what they share has the rate of its layer.
    lr, weight_decay, layer_decay, head_factor
        As in the section ``train`` of a recipe.
    new
        Names of the network's weights that were not loaded from a model: whatever part they belong to, they
        are new, and so are those of the objective's own modules. None where nothing was loaded: then heads
        and generator count as new beside the rest.
    """
    backbones = [learner.network.backbone.layers() for learner in trained.learners]
    new_ids = {parameter for learner in trained.learners for parameter in _new_ids(learner, new)}
    factor = {
        id(parameter): layer_decay ** (len(layers) - index)
        for layers in backbones
        for index, layer in enumerate(layers)
        for parameter in layer
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in trained.parameters():
        if parameter.requires_grad:
            scale = head_factor if id(parameter) in new_ids else factor.get(id(parameter), 1.0)
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((lr * scale, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _new_ids(learner: Learner, new: Collection[str] | None) -> set[int]:
    named = dict(learner.network.named_parameters())
    if new is None:
        return {id(parameter) for name, parameter in named.items() if name.startswith(_LAST_PARTS)}
    of_objective = {id(parameter) for parameter in learner.objective.parameters()}
    return of_objective | {id(parameter) for name, parameter in named.items() if name in new}


def set_factor(groups: Sequence[dict[str, Any]], factor: float) -> float:
    """Set every group's rate to its peak times `factor`; return the largest rate."""
    for group in groups:
        group["lr"] = group["peak_lr"] * factor
    return max(float(group["lr"]) for group in groups)
