"""Regression head: real targets in physical units."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head
from hepfm.nn.hidden import HiddenLayers
from hepfm.nn.pooling import summary


class RegressConfig(Config):
    """Options of `Regress`.

    Attributes
    ----------
    centre, scale
        Mean and spread of each target in its own unit, one number per target. Left out, they are 0 and 1.
    hidden
        Sizes of hidden layers, Linear and ReLU, between the summary and the last linear layer.
    dropout
        Rate on what each hidden layer returns; without any, on the summary.
    """

    centre: tuple[float, ...] = ()
    scale: tuple[PositiveFloat, ...] = ()
    hidden: tuple[PositiveInt, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Regress(Head):
    """Targets in their own units: ``centre + scale * linear(summary)``, with hidden layers if asked for.

    A loss should be computed from ``(prediction - target) / head.scale_K``, so that no target outweighs the
    others because of its unit.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of targets K.
    """

    Config: ClassVar[type[Config]] = RegressConfig
    centre_K: Tensor
    scale_K: Tensor

    def __init__(self, config: RegressConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        self.config = config
        for name, values in (("centre", config.centre), ("scale", config.scale)):
            if values and len(values) != num_outputs:
                raise IncompatibleError(
                    f"head regress: {name} has {len(values)} numbers for {num_outputs} targets; "
                    "give one number per target"
                )
        self.register_buffer("centre_K", torch.tensor(config.centre or (0.0,) * num_outputs))
        self.register_buffer("scale_K", torch.tensor(config.scale or (1.0,) * num_outputs))
        self.hidden = HiddenLayers(width, config.hidden, dropout=config.dropout)
        self.linear = nn.Linear(self.hidden.width, num_outputs)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return predictions in physical units, (B, K)."""
        output_BK: Tensor = self.linear(
            self.hidden(summary(features.tokens_BND, features.pooled_BD, mask_BN))
        )
        return self.centre_K + self.scale_K * output_BK
