"""The transformer that is told the order of the constituents: ordered inputs, as BEiT has positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Placeholder
from hepfm.backbones.transformer import Transformer, TransformerConfig
from hepfm.core.config import Config


class RankedTransformerConfig(TransformerConfig):
    """Options of `RankedTransformer`, those of `TransformerConfig` and the ranks.

    Attributes
    ----------
    num_ranks
        Learned vectors of the 1st, 2nd, ... constituent of a row; those beyond share the last.
    """

    num_ranks: PositiveInt = 64


class RankedTransformer(Transformer):
    """A `Transformer` that adds a learned vector of its rank in pt to each constituent.

    The rank is the place in the row: rows stand in falling order of pt. A placeholder has the rank of what it
    stands for. For the ablation of masked particle modelling (2401.13537) between an encoder that is told the
    order and one that is not. Rows do not grow (no ``"causal"``).
    """

    Config: ClassVar[type[Config]] = RankedTransformerConfig
    supports = frozenset({"prefix", "codes", "placeholder", "order", "embedding"})
    own_parts = frozenset({"embedding", "ranks_RD"})

    config: RankedTransformerConfig

    def __init__(
        self,
        config: RankedTransformerConfig,
        *,
        feature_names: Sequence[str],
        num_codes: int | None = None,
    ) -> None:
        super().__init__(config, feature_names=feature_names, num_codes=num_codes)
        self.ranks_RD = nn.Parameter(torch.randn(config.num_ranks, config.width) * 0.02)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return embedded constituents with the vectors of their places."""
        h_BND = self._embed(x_BNF)
        return h_BND + self._ranks(torch.arange(mask_BN.shape[1], device=mask_BN.device)).to(h_BND.dtype)

    def embed_shown(
        self, x_BNF: Tensor, mask_BN: Tensor, placeholder: Placeholder, *, physical_BNF: Tensor | None = None
    ) -> Tensor:
        """Return embedded constituents and placeholders with the vectors of their ranks."""
        h_BND = placeholder.put(self._embed(x_BNF))
        return h_BND + self._ranks(placeholder.rank_BN).to(h_BND.dtype)

    def _ranks(self, rank: Tensor) -> Tensor:
        return self.ranks_RD[rank.clamp(max=len(self.ranks_RD) - 1)]

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the groups of `Transformer.layers`; ranks belong to the first."""
        first, *others = super().layers()
        return [[*first, self.ranks_RD], *others]
