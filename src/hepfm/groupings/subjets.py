"""Subjets as tokens: Cambridge-Aachen with a small radius (J-JEPA, 2412.05333)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.data.clustering import Clustering
from hepfm.groupings.base import Grouping, Groups
from hepfm.nn.point_net import PointNet


class SubjetsConfig(BaseConfig):
    """Options of `SubjetGrouping`; the defaults are those of J-JEPA's public code.

    Attributes
    ----------
    radius
        R of the clustering.
    max_groups
        The hardest subjets of a row are kept.
    max_members
        The hardest constituents of a subjet are kept.
    """

    radius: pydantic.PositiveFloat = 0.2
    max_groups: pydantic.PositiveInt = 20
    max_members: pydantic.PositiveInt = 30


class SubjetGrouping(Grouping):
    """Each subjet is a token, in falling order of pT; a row of fewer subjets has fewer tokens.

    The centre is the mean of its members' angles. Constituents beyond the limits are not seen.
    """

    Config: ClassVar[type[BaseConfig]] = SubjetsConfig
    config: SubjetsConfig

    def __init__(self, config: SubjetsConfig, *, width: int, feature_names: Sequence[str]) -> None:
        super().__init__(config, width=width, feature_names=feature_names)
        self.embedding = PointNet(width)

    @classmethod
    def clusterings(cls, config: BaseConfig) -> tuple[Clustering, ...]:
        """Return the one clustering."""
        assert isinstance(config, SubjetsConfig)
        return (Clustering("cambridge_aachen", config.radius),)

    def assign(self, features_BNF: Tensor, mask_BN: Tensor, subjets: Mapping[str, Tensor]) -> Groups:
        """Return the subjets."""
        (clustering,) = self.clusterings(self.config)
        number_BN = subjets[clustering.name]
        kept_BN = mask_BN & (number_BN < self.config.max_groups)
        kept_BN &= _place_within(number_BN, mask_BN) < self.config.max_members
        number_BN = number_BN.masked_fill(~kept_BN, -1)
        groups = max(1, int(number_BN.max()) + 1) if number_BN.numel() else 1
        constituent_T = kept_BN.flatten().nonzero()[:, 0]
        row_B1 = torch.arange(len(mask_BN), device=mask_BN.device)[:, None]
        group_T = (row_B1 * groups + number_BN).flatten()[constituent_T]
        # Subjets are numbered without gaps, hardest first: those before the last are all there.
        count_B1 = number_BN.amax(1, keepdim=True) + 1
        mask_BG = torch.arange(groups, device=mask_BN.device) < count_B1
        empty = Groups(constituent_T, group_T, mask_BG, features_BNF.new_zeros(*mask_BG.shape, 2))
        return Groups(constituent_T, group_T, mask_BG, empty.means(features_BNF[..., self.axes]))

    def forward(self, h_BND: Tensor, features_BNF: Tensor, groups: Groups) -> Tensor:
        """Return a vector of each subjet; see `Grouping.forward`."""
        embedded: Tensor = self.embedding(
            h_BND, features_BNF[..., self.axes], groups.constituent_T, groups.group_T, groups.centre_BG2
        )
        return embedded


def _place_within(number_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Return how many constituents of the same subjet stand before each one."""
    order_BN = number_BN.argsort(dim=1, stable=True)
    sorted_BN = number_BN.gather(1, order_BN)
    place_N = torch.arange(mask_BN.shape[1], device=mask_BN.device).expand_as(sorted_BN)
    start_BN = torch.searchsorted(sorted_BN, sorted_BN.contiguous())
    return torch.empty_like(number_BN).scatter_(1, order_BN, place_N - start_BN)
