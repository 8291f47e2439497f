"""No backbone: the standardised constituents themselves, for networks that are nothing but a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config


class NoneConfig(Config):
    """No options."""


class NoBackbone(Backbone):
    """Returns its input.

    Parameters
    ----------
    config
        No options.
    feature_names
        The F features of a constituent; also the width.
    """

    Config: ClassVar[type[Config]] = NoneConfig
    encodes = False

    def __init__(self, config: NoneConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = len(feature_names)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return the constituents as they are."""
        return x_BNF

    def encode(
        self,
        h_BND: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
    ) -> Features:
        """Return the constituents as they are."""
        return Features(h_BND)
