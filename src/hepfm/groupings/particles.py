"""No grouping: the backbone's tokens are the constituents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.groupings.base import Grouping, Groups


class ParticlesConfig(BaseConfig):
    """There are no options."""


class SingleParticles(Grouping):
    """The name of what every network without a grouping does; it is never built."""

    Config: ClassVar[type[BaseConfig]] = ParticlesConfig
    groups = False

    def assign(self, features_BNF: Tensor, mask_BN: Tensor, subjets: Mapping[str, Tensor]) -> Groups:
        """Not called: see `Grouping.groups`."""
        raise NotImplementedError("a network whose tokens are constituents has no grouping")

    def forward(self, h_BND: Tensor, features_BNF: Tensor, groups: Groups) -> Tensor:
        """Not called: see `Grouping.groups`."""
        raise NotImplementedError("a network whose tokens are constituents has no grouping")
