"""Projector: from a row's summary to the vector in which rows are compared; dropped after training."""

from __future__ import annotations

from typing import Literal

import pydantic
from torch import nn

from hepfm.core.config import Config

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "elu": nn.ELU}


class ProjectorConfig(Config):
    """Options of a projector.

    Attributes
    ----------
    hidden
        Sizes of its hidden layers.
    outputs
        E, size of the vectors that are compared.
    activation
        After each hidden layer.
    norm
        Whether a layer norm stands before each activation. It stands where published projectors have a batch
        norm: a row's vector is to depend on that row alone.
    """

    hidden: tuple[pydantic.PositiveInt, ...] = (512, 512)
    outputs: pydantic.PositiveInt = 128
    activation: Literal["gelu", "relu", "elu"] = "gelu"
    norm: bool = True


def build_projector(config: ProjectorConfig | None, inputs: int) -> nn.Module:
    """Return the projector of summaries of a size; None stands for none, the summaries are compared."""
    if config is None:
        return nn.Identity()
    layers: list[nn.Module] = []
    for size in config.hidden:
        layers += [
            nn.Linear(inputs, size),
            *([nn.LayerNorm(size)] if config.norm else []),
            ACTIVATIONS[config.activation](),
        ]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, config.outputs))
