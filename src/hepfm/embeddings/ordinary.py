"""No embedding of one's own: that of the backbone."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.embeddings.base import InputEmbedding


class OrdinaryConfig(BaseConfig):
    """There are no options."""


class Ordinary(InputEmbedding):
    """The name of what every backbone does by itself; it is never built."""

    Config: ClassVar[type[BaseConfig]] = OrdinaryConfig
    embeds = False

    def forward(self, x_C2F: Tensor, mask_C: Tensor | None = None) -> Tensor:
        """Not called: see `InputEmbedding.embeds`."""
        raise NotImplementedError("a network with the backbone's own embedding has no other")
