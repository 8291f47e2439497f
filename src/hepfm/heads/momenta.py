"""Momenta of constituents of which the network is told what they are, and not where."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pydantic
import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head, Level
from hepfm.nn.linear import Linear

ANGLE = "phi"
"""The component that is an angle; the network reads its sine and cosine."""


class MomentaConfig(Config):
    """Options of `Momenta`.

    Attributes
    ----------
    components
        What is said of a constituent: features of the network, standardised, or ``phi``, told by tan(phi/2).
    level
        The level of which the network is asked when it is used, and which is hidden from it then.
    """

    components: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = (
        "log_pt",
        "eta",
        "phi",
        "log_mass",
    )
    level: Literal["generator", "reconstructed"] = "generator"


class Momenta(Head):
    """One linear layer from a hidden constituent's vector to the components of its momentum (2412.07867).

    It owns the vector that tells the network which constituents are hidden, so that a model directory has all
    that is needed to ask for them.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        1: the field that it is named after is one of the momenta's.
    """

    Config: ClassVar[type[Config]] = MomentaConfig
    level: ClassVar[Level] = "hidden"

    def __init__(self, config: MomentaConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if num_outputs != 1:
            raise IncompatibleError(f"head momenta says momenta, not one of {num_outputs} classes")
        self.config = config
        self.vector_D = nn.Parameter(torch.randn(width) * 0.02)
        self.linear = Linear(width, len(config.components))

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return the components, (B, N, K): standardised features, and the tangent of half of phi."""
        components_BNK: Tensor = self.linear(features.tokens_BND)
        return components_BNK.masked_fill(~mask_BN[..., None], 0.0)
