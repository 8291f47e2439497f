"""Optimizers by name, and the parameter groups that they work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pydantic
import torch
from torch import nn

from hepfm.core.config import Config
from hepfm.core.registry import Registry
from hepfm.objectives.base import Objective
from hepfm.train.lion import Lion

OPTIMIZERS = Registry(
    "optimizer",
    {
        "adamw": ("hepfm.train.optimizers:AdamWOptimizer", "Adam with decoupled weight decay (1711.05101)"),
        "lion": ("hepfm.train.optimizers:LionOptimizer", "sign of interpolated momentum (2302.06675)"),
    },
)

Groups = list[dict[str, Any]]


class AdamWConfig(Config):
    """Options of AdamW, with torch's meaning."""

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
    """Options of Lion."""

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
    objective: Objective,
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    head_factor: float = 1.0,
) -> Groups:
    """Return the trainable parameters in groups of one learning rate and weight decay.

    The learning rate of backbone layer l of L is ``lr * layer_decay ** (L - l)``, that of the heads
    ``lr * head_factor``, that of everything else ``lr``. Vectors (biases, norms) have no weight decay. Each
    group keeps its peak rate as ``peak_lr``, on which schedules act.
    """
    layers = objective.network.backbone.layers()
    head_ids = {id(parameter) for parameter in objective.network.heads.parameters()}
    factor = {
        id(parameter): layer_decay ** (len(layers) - index)
        for index, layer in enumerate(layers)
        for parameter in layer
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in objective.parameters():
        if parameter.requires_grad:
            scale = head_factor if id(parameter) in head_ids else factor.get(id(parameter), 1.0)
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((lr * scale, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def set_factor(groups: Sequence[dict[str, Any]], factor: float) -> float:
    """Set every group's rate to its peak times `factor`; return the largest rate."""
    for group in groups:
        group["lr"] = group["peak_lr"] * factor
    return max(float(group["lr"]) for group in groups)
